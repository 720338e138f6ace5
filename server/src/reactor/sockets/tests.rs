use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use holdfast_common::config::Secret;
use holdfast_common::ids::ServerId;
use holdfast_common::net::connection::Socket;
use holdfast_common::net::tls::{CLUSTER_NAME, Identity, Trust, client_config};
use holdfast_common::protocol::LINE_BYTES_MAX;
use rustls::ClientConnection;

use super::*;

const ID: ClientId = ClientId(7);

fn tls() -> Arc<rustls::ServerConfig> {
    let secret = Secret::new("a secret of 32 characters, or more".to_owned());
    Identity::new(&secret, ServerId(1)).unwrap().client_port_config().unwrap()
}

/// A client's end of a socket whose other end is among `sockets`.
fn open(sockets: &mut Sockets, id: ClientId, tls: Option<Arc<rustls::ServerConfig>>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let socket = Socket::Unix(mio::net::UnixStream::from_std(ours));
    sockets.open(id, Connection::accept(socket, tls, LINE_BYTES_MAX));
    theirs
}

fn session() -> ClientConnection {
    let config = client_config(Trust::FirstUse).unwrap();
    ClientConnection::new(config, CLUSTER_NAME.try_into().unwrap()).unwrap()
}

/// One turn: what the node would see of it.
fn turn(sockets: &mut Sockets) -> Vec<Input> {
    let mut inputs = Vec::new();
    sockets.read(&mut inputs);
    sockets.flush(&mut inputs);
    inputs
}

fn frames(inputs: &[Input]) -> usize {
    inputs.iter().filter(|input| matches!(input, Input::ClientFrame(..))).count()
}

fn closed(inputs: &[Input]) -> usize {
    inputs.iter().filter(|input| matches!(input, Input::ClientClosed(_))).count()
}

/// Carries the handshake on until it is done.
fn shake(sockets: &mut Sockets, session: &mut ClientConnection, stream: &mut UnixStream) {
    while session.is_handshaking() {
        while session.wants_write() {
            session.write_tls(stream).unwrap();
        }
        sockets.edge(ID);
        turn(sockets);
        if session.is_handshaking() {
            session.read_tls(stream).unwrap();
            session.process_new_packets().unwrap();
        }
    }
    while session.wants_write() {
        session.write_tls(stream).unwrap();
    }
    sockets.edge(ID);
    turn(sockets);
}

#[test]
fn a_line_that_came_before_the_connection_was_cut_is_a_request_like_any_other() {
    let mut sockets = Sockets::new(1);
    let (mut session, mut stream) = (session(), open(&mut sockets, ID, Some(tls())));
    shake(&mut sockets, &mut session, &mut stream);
    session.writer().write_all(b"{\"id\":1}\n{\"id\":2}\n{\"id\":").unwrap();
    session.write_tls(&mut stream).unwrap();
    // TLS is not closed: that is a cut.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    sockets.edge(ID);
    let inputs = turn(&mut sockets);
    assert_eq!((frames(&inputs), closed(&inputs)), (2, 0));
    sockets.send(ID, b"{\"id\":1,\"ok\":{}}\n".to_vec().into(), true);
    assert_eq!(closed(&turn(&mut sockets)), 0, "one is still to be answered");
    sockets.send(ID, b"{\"id\":2,\"ok\":{}}\n".to_vec().into(), true);
    assert_eq!(closed(&turn(&mut sockets)), 1);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    session.read_tls(&mut rest.as_slice()).unwrap();
    session.process_new_packets().unwrap();
    let mut answers = String::new();
    session.reader().read_to_string(&mut answers).unwrap();
    assert_eq!(answers.lines().count(), 2, "{answers}");
}

#[test]
fn many_handshakes_at_once_take_many_turns_and_who_speaks_already_does_not_wait() {
    let mut sockets = Sockets::new(1);
    let config = tls();
    let count = HANDSHAKES_A_TURN * 2;
    let mut streams: Vec<_> = (100..)
        .take(count)
        .map(|id| {
            let mut stream = open(&mut sockets, ClientId(id), Some(config.clone()));
            session().write_tls(&mut stream).unwrap();
            stream
        })
        .collect();
    streams.push(open(&mut sockets, ClientId(1_000), None));
    streams[count].write_all(b"{\"id\":1}\n").unwrap();
    let begun = |inputs: &[Input]| {
        let tls =
            |input: &&Input| matches!(input, Input::ClientTransport(_, effect::Transport::Tls));
        inputs.iter().filter(tls).count()
    };
    let first = turn(&mut sockets);
    assert_eq!((begun(&first), frames(&first)), (HANDSHAKES_A_TURN, 1));
    assert!(sockets.has_ready(), "the others are not forgotten");
    assert_eq!(begun(&turn(&mut sockets)), HANDSHAKES_A_TURN);
}

#[test]
fn only_so_many_closed_connections_linger_and_the_oldest_go_first() {
    let mut sockets = Sockets::new(2);
    let now = Instant::now();
    let mut streams: Vec<_> = (0..4)
        .map(|id| {
            let mut stream = open(&mut sockets, ClientId(id), None);
            stream.write_all(b"{\"id\":1}\n").unwrap();
            stream
        })
        .collect();
    turn(&mut sockets);
    for id in 0..3 {
        sockets.send(ClientId(id), b"bye\n".to_vec().into(), false);
        turn(&mut sockets);
        sockets.close(ClientId(id), now);
    }
    turn(&mut sockets);
    assert_eq!(sockets.peers.keys().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3]);
    let mut said = String::new();
    streams[0].read_to_string(&mut said).unwrap();
    assert_eq!(said, "bye\n", "what the kernel had taken still arrives");
    // One that ends by itself makes room.
    streams[1].shutdown(std::net::Shutdown::Both).unwrap();
    sockets.edge(ClientId(1));
    turn(&mut sockets);
    sockets.close(ClientId(3), now);
    turn(&mut sockets);
    assert_eq!(sockets.peers.keys().map(|id| id.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn the_node_hears_of_bytes_without_a_line_and_of_events_that_left_at_once() {
    let mut sockets = Sockets::new(1);
    let mut stream = open(&mut sockets, ID, None);
    turn(&mut sockets);
    stream.write_all(b"{\"id\":").unwrap();
    sockets.edge(ID);
    assert!(matches!(turn(&mut sockets)[..], [Input::ClientHeard(ID)]));
    assert!(turn(&mut sockets).is_empty(), "nothing has come");
    sockets.send(ID, Arc::from(*b"{}\n"), false);
    assert!(matches!(turn(&mut sockets)[..], [Input::ClientBacklog(ID, 0)]));
}
