//! What this machine can do at best, measured in the same run as what is compared with it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Histogram;

const ROUNDS: usize = 2_000;

/// Write and sync 512 bytes into a preallocated file, one after the other.
pub(crate) fn sync(folder: &Path) -> std::io::Result<Histogram> {
    let path = folder.join("floor");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    file.write_all_at(&vec![0; 4 << 20], 0)?;
    file.sync_all()?;
    let mut times = Histogram::default();
    for round in 0..ROUNDS {
        let start = Instant::now();
        file.write_all_at(&[7; 512], 512 * (round as u64 % 8192))?;
        file.sync_data()?;
        times.add(start.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// 100 bytes to another thread over loopback and back, one after the other.
pub(crate) fn ping_pong() -> std::io::Result<Histogram> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; 100];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
        Ok(())
    });
    let mut times = Histogram::default();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut buffer = [7; 100];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        times.add(start.elapsed());
    }
    drop(stream);
    echo.join().expect("the echo thread does not panic")?;
    Ok(times)
}
