//! Taking the conversations from the server: all of them, or until the unsure ones were seen.
//!
//! Owns: how far a walk over the pages is. Driven by: `pump` and `reply`. Invariant: as long as a
//! walk is wanted the stored cursor stays where it is, so a walk that is cut off is taken again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::asks::{LATER, SOON};
use super::conversation::{Conversation, Count};
use super::link::Purpose;
use super::place::Place;
use super::{Engine, Nonsense};
use crate::client::SignedOut;
use crate::ids::{ConversationId, Seq};
use crate::protocol::{
    ConversationView, Conversations, ConversationsOk, ErrorReply, Request, Retry,
};

/// Between two walks: a server whose list never settles what is unsure is not asked in a circle.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Every conversation is wanted.
    all: bool,
    /// Conversations of which something is known only to the server.
    unsure: BTreeSet<ConversationId>,
    /// Those that the present walk is for. What comes to be unsure meanwhile may be on a page that
    /// was read before: it is for the next walk.
    asked: BTreeSet<ConversationId>,
    /// The last conversation of the page before.
    after: Option<ConversationId>,
    under_way: bool,
    /// All were walked, and nobody was told.
    has_news: bool,
    pub(super) not_before: Option<Instant>,
}

impl Listing {
    pub(super) fn all() -> Listing {
        Listing { all: true, ..Listing::default() }
    }

    /// Whether everything is to be taken anew, so that nothing older is left.
    pub(super) fn is_new(&self) -> bool {
        self.all
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.all || !self.unsure.is_empty() || !self.asked.is_empty()
    }

    /// Whether all conversations have just come to be known; once.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Only the server knows something of this conversation.
    pub(super) fn unsure(&mut self, conv: ConversationId) {
        self.unsure.insert(conv);
    }

    pub(super) fn link_lost(&mut self) {
        self.unsure.append(&mut self.asked);
        self.after = None;
        self.under_way = false;
        self.not_before = None;
    }
}

impl Engine {
    pub(super) fn pump_listing(&mut self) {
        let now = self.instant();
        let Some(place) = &mut self.place else { return };
        let listing = &mut place.listing;
        let is_due = listing.not_before.is_none_or(|due| due <= now);
        if listing.under_way || !is_due {
            return;
        }
        if listing.after.is_none() {
            // Where the server does not know yet what the person has read, its count would be
            // another one.
            let is_told = |conv: &ConversationId| {
                place.conversations.get(conv).is_none_or(|c| c.record.read <= c.record.read_told)
            };
            listing.asked.extend(listing.unsure.extract_if(.., is_told));
        }
        if (!listing.all && listing.asked.is_empty()) || !self.has_room() {
            return;
        }
        let Some(place) = &mut self.place else { return };
        place.listing.under_way = true;
        place.listing.not_before = None;
        let page = Conversations { after: place.listing.after, limit: None };
        self.request(Purpose::Listing, &Request::Conversations(page));
    }

    pub(super) fn listing_answered(&mut self, page: &ConversationsOk) -> Result<(), Nonsense> {
        let now = self.instant();
        let Some(place) = &mut self.place else { return Ok(()) };
        place.listing.under_way = false;
        for view in &page.conversations {
            if view.read > view.last_seq || view.last_seq.0 >= u64::MAX / 2 {
                return Err(Nonsense::new("a conversation with marks beyond its messages"));
            }
            place.listing.asked.remove(&view.conv);
            let count = place.conversation_listed(view);
            place.note(view.conv, count);
        }
        let last = page.conversations.last().map(|view| view.conv);
        let listing = &mut place.listing;
        let goes_on = page.more && last.is_some() && last != listing.after;
        if goes_on && (listing.all || !listing.asked.is_empty()) {
            listing.after = last;
            return Ok(());
        }
        listing.after = None;
        listing.has_news |= std::mem::take(&mut listing.all);
        // What was walked past and not seen is no conversation of ours.
        listing.asked.clear();
        listing.not_before = Some(now + PAUSE);
        Ok(())
    }

    pub(super) fn listing_refused(&mut self, error: &ErrorReply) {
        let now = self.instant();
        let Some(place) = &mut self.place else { return };
        place.listing.under_way = false;
        let wait = error.after_ms.map(Duration::from_millis);
        match error.retry {
            Retry::Auth => self.session_ended(SignedOut::Ended),
            Retry::Elsewhere => {
                place.listing.not_before = Some(now + wait.unwrap_or(SOON));
                self.scout();
            }
            Retry::Later | Retry::SameTxn | Retry::Never => {
                // The page that was meant may be no more: begin anew.
                place.listing.after = None;
                place.listing.not_before = Some(now + wait.unwrap_or(LATER));
            }
        }
    }
}

impl Place {
    /// Notes, over a restart too, what has become of a conversation's count.
    pub(super) fn note(&mut self, conv: ConversationId, count: Count) {
        if let Some(conversation) = self.conversations.get_mut(&conv)
            && count == Count::Unsure
        {
            conversation.record.unread.is_unsure = true;
            self.listing.unsure(conv);
            self.touch(conv);
        }
    }

    fn conversation_listed(&mut self, view: &ConversationView) -> Count {
        let own = self.is_me(view.last.from.as_deref());
        let conversation = self
            .conversations
            .entry(view.conv)
            .or_insert_with(|| Conversation::unlisted(view.conv, view.with.clone(), Seq(0)));
        let count = conversation.listed(view, own);
        if conversation.has_marks_to_tell() {
            self.marks_due.insert(view.conv);
        }
        self.touch(view.conv);
        self.name_known(view.conv, view.with.as_deref());
        count
    }
}
