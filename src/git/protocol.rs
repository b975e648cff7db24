//! Git's wire protocol, version 0, as far as a fetch needs it: what comes is parsed, what goes is built. Pure.

use super::refs::{RemoteRef, RemoteRefs, is_oid};
use super::text::printable;
use super::transport::Order;

/// Why bytes are not what a Git server says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ProtocolError {
    #[error("{0}")]
    Malformed(String),
    /// The server's own words.
    #[error("{0}")]
    Server(String),
}

fn malformed(message: &str) -> ProtocolError {
    ProtocolError::Malformed(message.to_owned())
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Flush,
    Data(Vec<u8>),
}

/// Cuts a stream of bytes into packets.
#[derive(Default)]
pub(super) struct Packets {
    buffer: Vec<u8>,
    start: usize,
}

impl Packets {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// `None` until more bytes come.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, ProtocolError> {
        let rest = &self.buffer[self.start..];
        let Some((length, rest)) = rest.split_at_checked(4) else {
            return Ok(None);
        };
        let length = std::str::from_utf8(length)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .ok_or_else(|| {
                ProtocolError::Malformed(format!(
                    "a packet begins with {:?}",
                    printable(&self.buffer[self.start..self.buffer.len().min(self.start + 40)])
                ))
            })?;
        match length {
            0 => {
                self.start += 4;
                Ok(Some(Packet::Flush))
            }
            1..=3 => Err(malformed("a packet of another version of the protocol")),
            _ => {
                let Some(data) = rest.get(..length - 4) else {
                    return Ok(None);
                };
                let data = data.to_vec();
                self.start += length;
                Ok(Some(Packet::Data(data)))
            }
        }
    }

    /// Whether bytes are left that make no packet.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }
}

/// The refs of a server as it tells them.
#[derive(Default)]
pub(super) struct Advertisement {
    pub(super) refs: RemoteRefs,
    capabilities: Option<Vec<String>>,
    /// Over http the name of the service comes first, and a flush after it.
    announced: bool,
    pub(super) complete: bool,
}

impl Advertisement {
    pub(super) fn feed(&mut self, packet: &Packet) -> Result<(), ProtocolError> {
        let Packet::Data(data) = packet else {
            if self.announced {
                self.announced = false;
            } else {
                self.complete = true;
            }
            return Ok(());
        };
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(ProtocolError::Server(printable(message)));
        }
        if self.capabilities.is_none() {
            if line == b"# service=git-upload-pack" {
                self.announced = true;
                return Ok(());
            }
            if line == b"version 1" {
                return Ok(());
            }
        }
        let (line, capabilities) = match line.iter().position(|byte| *byte == 0) {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        if self.capabilities.is_none() {
            let capabilities = capabilities.unwrap_or_default();
            let capabilities: Vec<String> = String::from_utf8_lossy(capabilities)
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            self.capabilities = Some(capabilities);
        }
        if line.starts_with(b"shallow ") {
            return Err(malformed("the server's repository is a shallow one"));
        }
        let oid = line
            .get(..40)
            .and_then(|oid| std::str::from_utf8(oid).ok())
            .filter(|oid| is_oid(oid) && line.get(40) == Some(&b' '))
            .ok_or_else(|| {
                ProtocolError::Malformed(format!("a ref is told as {:?}", printable(line)))
            })?;
        // A name that is not UTF-8 can be written in no rule.
        if let Ok(name) = std::str::from_utf8(&line[41..]) {
            self.add(name, oid);
        }
        Ok(())
    }

    fn add(&mut self, name: &str, oid: &str) {
        if let Some(name) = name.strip_suffix("^{}") {
            if let Some(reference) = self.refs.0.get_mut(name) {
                reference.peeled = Some(oid.to_owned());
            }
        } else if RemoteRefs::wants(name) {
            let reference = RemoteRef {
                oid: oid.to_owned(),
                peeled: None,
            };
            self.refs.0.insert(name.to_owned(), reference);
        }
    }

    fn capability(&self, name: &str) -> bool {
        let all = self.capabilities.as_deref().unwrap_or_default();
        all.iter().any(|one| one == name)
    }

    /// The request for what the wants of `order` reach and its haves do not, all in one go.
    pub(super) fn request(&self, order: &Order) -> Result<Vec<u8>, ProtocolError> {
        let all = self.capabilities.as_deref().unwrap_or_default();
        if let Some(format) = all
            .iter()
            .find_map(|one| one.strip_prefix("object-format="))
            && format != "sha1"
        {
            return Err(ProtocolError::Malformed(format!(
                "the repository's object format is {format}; only sha1 is supported"
            )));
        }
        if !self.capability("side-band-64k") {
            return Err(malformed("the server does not offer side-band-64k"));
        }
        let mut chosen = vec!["side-band-64k"];
        for wish in ["multi_ack_detailed", "ofs-delta", "no-progress"] {
            if self.capability(wish) {
                chosen.push(wish);
            }
        }
        let agent = concat!("agent=driftless/", env!("CARGO_PKG_VERSION"));
        if all.iter().any(|one| one.starts_with("agent=")) {
            chosen.push(agent);
        }
        let mut capabilities = format!(" {}", chosen.join(" "));
        let mut request = Vec::new();
        for want in &order.wants {
            // Only the first want carries them.
            let capabilities = std::mem::take(&mut capabilities);
            packet(&mut request, &format!("want {want}{capabilities}\n"));
        }
        request.extend_from_slice(b"0000");
        for have in &order.haves {
            packet(&mut request, &format!("have {have}\n"));
        }
        packet(&mut request, "done\n");
        Ok(request)
    }
}

fn packet(request: &mut Vec<u8>, line: &str) {
    request.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes());
}

/// The answer to a request: first which of our commits the server knows, then the pack.
#[derive(Default)]
pub(super) struct Answer {
    in_pack: bool,
    pub(super) complete: bool,
}

impl Answer {
    /// The bytes of the pack in this packet, if any.
    pub(super) fn feed<'a>(
        &mut self,
        packet: &'a Packet,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let Packet::Data(data) = packet else {
            if self.in_pack {
                self.complete = true;
                return Ok(None);
            }
            return Err(malformed("the answer ends before the pack"));
        };
        if !self.in_pack {
            if let Some(message) = data.strip_prefix(b"ERR ") {
                return Err(ProtocolError::Server(printable(message)));
            }
            if data.starts_with(b"NAK") || data.starts_with(b"ACK ") {
                return Ok(None);
            }
        }
        match data.split_first() {
            Some((1, pack)) => {
                self.in_pack = true;
                Ok(Some(pack))
            }
            Some((2, _progress)) => {
                self.in_pack = true;
                Ok(None)
            }
            Some((3, message)) => Err(ProtocolError::Server(printable(message))),
            _ => Err(ProtocolError::Malformed(format!(
                "an answer with {:?}",
                printable(data)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use git2::Oid;
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Packet>, ProtocolError> {
        let mut packets = Packets::default();
        packets.push(bytes);
        let mut list = Vec::new();
        while let Some(packet) = packets.next()? {
            list.push(packet);
        }
        Ok(list)
    }

    fn advertisement(lines: &[&str]) -> Result<Advertisement, ProtocolError> {
        let mut advertisement = Advertisement::default();
        for line in lines {
            advertisement.feed(&if line.is_empty() {
                Packet::Flush
            } else {
                Packet::Data(line.as_bytes().to_vec())
            })?;
        }
        Ok(advertisement)
    }

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn only_branches_and_tags_are_taken() {
        let told = advertisement(&[
            "# service=git-upload-pack\n",
            "",
            &format!("{A} HEAD\0side-band-64k ofs-delta agent=git/2\n"),
            &format!("{A} refs/heads/main\n"),
            &format!("{A} refs/heads/../../etc/passwd\n"),
            &format!("{A} refs/pull/1/head\n"),
            &format!("{B} refs/tags/v1\n"),
            &format!("{A} refs/tags/v1^{{}}\n"),
            "",
        ])
        .unwrap();
        assert!(told.complete);
        let names: Vec<&str> = told.refs.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
        assert_eq!(told.refs.0["refs/tags/v1"].target(), A);
        let order = Order {
            wants: vec![Oid::from_str(B).unwrap()],
            haves: vec![Oid::from_str(A).unwrap()],
        };
        let request = told.request(&order).unwrap();
        let agent = concat!("agent=driftless/", env!("CARGO_PKG_VERSION"));
        let want = format!("want {B} side-band-64k ofs-delta {agent}\n");
        let expected = format!("{:04x}{want}00000032have {A}\n0009done\n", want.len() + 4);
        assert_eq!(String::from_utf8(request).unwrap(), expected);
    }

    #[test]
    fn an_empty_repository_is_told_as_such() {
        let zero = "0".repeat(40);
        let first = format!("{zero} capabilities^{{}}\0side-band-64k\n");
        let told = advertisement(&[&first, ""]).unwrap();
        assert!(told.complete && told.refs.is_empty());
        assert!(advertisement(&[""]).unwrap().complete);
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for text in ["<!DOCTYPE html>", "zzzz", "0001", "+1ab"] {
            assert!(all(text.as_bytes()).is_err(), "{text}");
        }
        assert!(advertisement(&["hello\n"]).is_err());
        assert_eq!(
            advertisement(&["ERR access\x1b[31m denied\n"]).err(),
            Some(ProtocolError::Server("access [31m denied".to_owned()))
        );
        let sha256 = format!("{A} HEAD\0side-band-64k object-format=sha256\n");
        let told = advertisement(&[&sha256, ""]).unwrap();
        let order = Order {
            wants: Vec::new(),
            haves: Vec::new(),
        };
        assert!(told.request(&order).is_err());
    }

    #[test]
    fn the_pack_is_what_comes_on_the_first_band() {
        let mut answer = Answer::default();
        let mut pack = Vec::new();
        for data in [
            &b"ACK aaaa common\n"[..],
            b"NAK\n",
            b"\x01PA",
            b"\x02progress",
            b"\x01CK",
            b"\x01NAK",
        ] {
            let packet = Packet::Data(data.to_vec());
            if let Some(bytes) = answer.feed(&packet).unwrap() {
                pack.extend_from_slice(bytes);
            }
        }
        assert!(!answer.complete);
        answer.feed(&Packet::Flush).unwrap();
        assert!(answer.complete);
        assert_eq!(pack, b"PACKNAK");
        let failed = Answer::default()
            .feed(&Packet::Data(b"\x03out of memory".to_vec()))
            .err();
        assert_eq!(
            failed,
            Some(ProtocolError::Server("out of memory".to_owned()))
        );
        assert!(Answer::default().feed(&Packet::Flush).is_err());
    }

    proptest! {
        #[test]
        fn packets_do_not_depend_on_how_the_bytes_come(
            lines in proptest::collection::vec("[a-z]{0,20}", 0..6),
            cuts in proptest::collection::vec(1..7usize, 1..40),
        ) {
            let mut bytes = Vec::new();
            for line in &lines {
                packet(&mut bytes, line);
            }
            bytes.extend_from_slice(b"0000");
            let whole = all(&bytes).unwrap();
            let mut packets = Packets::default();
            let mut list = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                packets.push(now);
                rest = later;
                while let Some(packet) = packets.next().unwrap() {
                    list.push(packet);
                }
            }
            prop_assert!(packets.is_empty());
            prop_assert_eq!(list, whole);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packets) = all(&bytes) {
                let mut told = Advertisement::default();
                let mut answer = Answer::default();
                for packet in &packets {
                    let _ = told.feed(packet);
                    let _ = answer.feed(packet);
                }
            }
        }
    }
}
