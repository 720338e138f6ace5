//! Who decides: pure functions over views, derived anew at each question and never stored.
//!
//! Owns: the meaning of "majority" and of "live view" (replication.md, sections 2 and 5). Driven
//! by: the rest of `replication`. Does not: know which servers answered, or when.

use std::collections::BTreeSet;

use super::{Replication, holds};
use crate::entry::{Incarnation, Index, StoreId, View};

/// A view and the index of its entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Placed {
    pub(super) index: Index,
    pub(super) view: View,
}

/// Whether more than half of the members of `view` are in `yes`. Members are counted by store: a
/// restarted server counts as the disk it is, a wiped one is another store.
pub(super) fn decides(view: &View, yes: &BTreeSet<StoreId>) -> bool {
    let agreeing = view.members.iter().filter(|member| yes.contains(&member.store)).count();
    2 * agreeing > view.members.len()
}

/// The views that still matter: the newest one known to be committed and every view behind it; as
/// long as none is known to be committed, all of them. `views` is in the order of the log.
pub(super) fn live_views(views: &[Placed], commit: Index) -> &[Placed] {
    let newest_committed = views.iter().rposition(|placed| placed.index <= commit);
    &views[newest_committed.unwrap_or(0)..]
}

/// The view in force at `index`: the newest one at or before it.
pub(super) fn in_force(views: &[Placed], index: Index) -> Option<&View> {
    views.iter().rev().find(|placed| placed.index <= index).map(|placed| &placed.view)
}

impl Replication {
    /// The stores of these incarnations.
    pub(super) fn stores<'a>(
        &self,
        agreeing: impl Iterator<Item = &'a Incarnation>,
    ) -> BTreeSet<StoreId> {
        let agreeing: Vec<Incarnation> = agreeing.copied().collect();
        let mut stores: BTreeSet<StoreId> = agreeing.iter().map(|one| one.store).collect();
        if !holds!(self.settings.rules, CountByStore) {
            let members = self.log.live_views().iter().flat_map(|placed| &placed.view.members);
            let same = members.filter(|m| agreeing.iter().any(|one| one.server == m.server));
            stores.extend(same.map(|member| member.store));
        }
        stores
    }
}

#[cfg(test)]
mod tests {
    use holdfast_common::ids::ServerId;

    use super::*;
    use crate::entry::ClusterId;

    fn view(stores: &[u64]) -> View {
        let member = |store: &u64| Incarnation {
            server: ServerId(u8::try_from(*store).unwrap()),
            store: StoreId(*store),
            life: 1,
        };
        View { cluster: ClusterId([0; 16]), members: stores.iter().map(member).collect() }
    }

    fn yes(stores: &[u64]) -> BTreeSet<StoreId> {
        stores.iter().copied().map(StoreId).collect()
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_members_stores() {
        assert!(decides(&view(&[1]), &yes(&[1])));
        assert!(!decides(&view(&[1, 2]), &yes(&[1])));
        assert!(decides(&view(&[1, 2, 3]), &yes(&[1, 3])));
        assert!(!decides(&view(&[1, 2, 3]), &yes(&[1, 7, 8])), "strangers do not count");
    }

    #[test]
    fn live_views_begin_at_the_newest_committed_one() {
        let at = |index, stores: &[u64]| Placed { index: Index(index), view: view(stores) };
        let views = [at(1, &[1, 2, 3]), at(5, &[1, 2]), at(9, &[1])];
        assert_eq!(live_views(&views, Index(0)).len(), 3, "none committed: all count");
        assert_eq!(live_views(&views, Index(4)).len(), 3);
        assert_eq!(live_views(&views, Index(5)).len(), 2);
        assert_eq!(live_views(&views, Index(99)).len(), 1);
        assert_eq!(in_force(&views, Index(8)), Some(&view(&[1, 2])));
        assert_eq!(in_force(&views, Index(0)), None);
    }
}
