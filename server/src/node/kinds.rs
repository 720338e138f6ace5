//! Requests by what must be known before they can be taken: the one place that says which is which.

use holdfast_common::protocol::{
    Conversations, Delete, DeleteAccount, Edit, Hello, History, Login, Mark, Passwd, Register,
    Request, Resume, RevokeTarget, Send, Users,
};

/// A request, sorted.
pub(super) enum Kind {
    /// The first one of every connection.
    Hello(Hello),
    /// Answered by the node alone, at once.
    Ping,
    /// The same.
    Status,
    /// Makes the connection somebody's.
    SignIn(SignIn),
    /// Reads what is replicated, for a session.
    Question(Question),
    /// Changes what is replicated, for a session.
    Change(Change),
}

pub(super) enum SignIn {
    Register(Register),
    Login(Login),
    Resume(Resume),
}

pub(super) enum Question {
    Sessions,
    Users(Users),
    Conversations(Conversations),
    History(History),
}

pub(super) enum Change {
    Logout,
    Revoke(RevokeTarget),
    /// Its password must be verified first.
    Checked(Checked),
    Send(Send),
    Read(Mark),
    Delivered(Mark),
    Edit(Edit),
    Delete(Delete),
}

/// A change that needs the password.
pub(super) enum Checked {
    Passwd(Passwd),
    DeleteAccount(DeleteAccount),
}

impl Kind {
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Kind::Change(_))
    }
}

impl From<Request> for Kind {
    fn from(request: Request) -> Kind {
        match request {
            Request::Hello(hello) => Kind::Hello(hello),
            Request::Ping(_) => Kind::Ping,
            Request::Status(_) => Kind::Status,
            Request::Register(register) => Kind::SignIn(SignIn::Register(register)),
            Request::Login(login) => Kind::SignIn(SignIn::Login(login)),
            Request::Resume(resume) => Kind::SignIn(SignIn::Resume(resume)),
            Request::Sessions(_) => Kind::Question(Question::Sessions),
            Request::Users(users) => Kind::Question(Question::Users(users)),
            Request::Conversations(page) => Kind::Question(Question::Conversations(page)),
            Request::History(history) => Kind::Question(Question::History(history)),
            Request::Logout(_) => Kind::Change(Change::Logout),
            Request::Revoke(revoke) => Kind::Change(Change::Revoke(revoke.session)),
            Request::Passwd(passwd) => Kind::Change(Change::Checked(Checked::Passwd(passwd))),
            Request::DeleteAccount(delete) => {
                Kind::Change(Change::Checked(Checked::DeleteAccount(delete)))
            }
            Request::Send(send) => Kind::Change(Change::Send(send)),
            Request::Read(mark) => Kind::Change(Change::Read(mark)),
            Request::Delivered(mark) => Kind::Change(Change::Delivered(mark)),
            Request::Edit(edit) => Kind::Change(Change::Edit(edit)),
            Request::Delete(delete) => Kind::Change(Change::Delete(delete)),
        }
    }
}
