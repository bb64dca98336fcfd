use super::*;
use crate::words::DeviceKind;
use std::io::ErrorKind;

#[test]
fn a_main_that_returns_an_error_prints_what_is_wrong_and_what_to_do() {
    let quirk = Quirk::DeviceNode { kind: DeviceKind::Character, major: 5, minor: 1 };
    let position = Position { entry: Some(2), path: Some(Escaped::new(b"dev/console")), ..Position::default() };
    let error = Error::from(quirk).at(position);
    let lines = format!("{error:?}");
    assert_eq!(format!("{error:#?}"), lines);
    let (first, second) = lines.split_once('\n').unwrap();
    assert_eq!(first, error.to_string());
    assert_eq!(second, "help: base images have these: handle devices as `skip`");
    let error = Error::from(Misuse::Cancelled);
    assert_eq!(format!("{error:?}"), error.to_string(), "where there is nothing to do, it is one line");
    let error = Error::system("openat", b"a", ErrorKind::NotFound);
    assert_eq!(format!("{error:?}"), "openat(\"a\"): entity not found", "why it failed is in it");
}

#[test]
fn what_failed_before_says_that_it_has_to_be_dropped() {
    let error = format!("{:?}", Error::from(Misuse::Poisoned));
    assert!(error.contains("failed") && error.contains("\nhelp: drop it and begin again"), "{error}");
}

/// An error as the author of a reader has them.
#[derive(Debug, thiserror::Error)]
#[error("the blob ends with another checksum")]
struct Theirs;

/// A sink's own error around one of the system.
#[derive(Debug, thiserror::Error)]
#[error("the upload failed")]
struct Wrapped(#[source] io::Error);

fn chain<'e>(error: &'e (dyn StdError + 'static)) -> Vec<&'e (dyn StdError + 'static)> {
    let (mut links, mut next) = (Vec::new(), Some(error));
    while let Some(link) = next {
        links.push(link);
        next = link.source();
    }
    links
}

#[test]
fn a_chain_of_sources_has_the_io_error_and_the_readers_own_and_says_nothing_twice() {
    let of_reader = |error: io::Error| Error::of_reader(error);
    let rows = [
        (of_reader(io::Error::other(Theirs)), ErrorKind::Other, true, "the reader failed"),
        (of_reader(io::Error::new(ErrorKind::TimedOut, Theirs)), ErrorKind::TimedOut, true, "timed out"),
        (of_reader(ErrorKind::TimedOut.into()), ErrorKind::TimedOut, false, "timed out"),
        (of_reader(io::Error::from_raw_os_error(5)), io::Error::from_raw_os_error(5).kind(), false, "(os error 5)"),
    ];
    for (error, kind, has_theirs, said) in rows {
        let chain = chain(&error);
        let io = chain.iter().find_map(|error| error.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(io.kind(), kind);
        assert_eq!(chain.iter().any(|error| error.is::<Theirs>()), has_theirs, "{error:#}");
        // The text of a program that prints the chain.
        let links: Vec<_> = chain.iter().map(ToString::to_string).collect();
        assert_eq!(links.join(": "), format!("{error:#}"));
        assert_eq!(links[0], "read(the layer)");
        assert!(links[1].ends_with(said), "{error:#}");
        for (at, link) in links.iter().enumerate() {
            assert!(links.iter().skip(at + 1).all(|later| !link.contains(later)), "{links:?}");
        }
    }
}

#[test]
fn a_failure_of_a_sink_is_told_with_the_sinks_own_error() {
    let error = Error::sink(Theirs).at(Position { entry: Some(3), ..Position::default() });
    assert_eq!((error.blame(), error.rule_id(), error.advice()), (Blame::System, None, None));
    assert!(error.source().unwrap().is::<Theirs>());
    assert_eq!(format!("{error:#}"), "entry 3: the sink failed: the blob ends with another checksum");
    assert_eq!(error.to_string(), "entry 3: the sink failed");
}

#[test]
fn a_cause_that_says_what_was_just_said_is_left_out_of_the_line() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot finish: {0}")]
    struct Both(#[source] Theirs);
    let error = Error::sink(Both(Theirs));
    assert_eq!(format!("{error:#}"), "the sink failed: cannot finish: the blob ends with another checksum");
}

#[test]
fn an_error_becomes_an_io_error_of_its_kind_with_all_that_it_says() {
    let rows = [
        (Error::from(Violation::Truncated), ErrorKind::InvalidData),
        (Error::from(Quirk::Fifo), ErrorKind::InvalidData),
        (Error::from(Misuse::Poisoned), ErrorKind::InvalidInput),
        (Error::from(Misuse::Cancelled), ErrorKind::Other),
        (Error::system("write", b"a", ErrorKind::StorageFull), ErrorKind::StorageFull),
        // A reader would retry and never see it.
        (Error::system("read", b"a", ErrorKind::Interrupted), ErrorKind::Other),
        (Error::sink(Theirs), ErrorKind::Other),
        (Error::sink(io::Error::from(ErrorKind::StorageFull)), ErrorKind::StorageFull),
        (Error::sink(io::Error::from(ErrorKind::Interrupted)), ErrorKind::Other),
        (Error::sink(Wrapped(ErrorKind::QuotaExceeded.into())), ErrorKind::QuotaExceeded),
        (Error::bug("none"), ErrorKind::Other),
    ];
    for (error, kind) in rows {
        let error = error.at(Position { entry: Some(7), ..Position::default() });
        let (line, full) = (error.to_string(), format!("{error:#}"));
        let io = io::Error::from(error);
        assert_eq!((io.kind(), io.to_string()), (kind, line));
        let back = io.downcast::<Error>().unwrap();
        assert_eq!((format!("{back:#}"), back.position().entry), (full, Some(7)));
    }
}

#[test]
fn an_error_comes_through_a_reader_as_it_was() {
    for error in [Error::from(Violation::Truncated), Error::system("read", b"a", ErrorKind::Interrupted)] {
        let said = format!("{error:#}");
        let io = io::Error::from(error);
        assert_ne!(io.kind(), ErrorKind::Interrupted);
        assert_eq!(format!("{:#}", Error::of_reader(io)), said);
    }
}

#[test]
fn an_error_is_as_small_as_a_pointer_and_can_be_sent() {
    fn is_send<T: Send + Sync + 'static>() {}
    is_send::<Error>();
    assert!(size_of::<Error>() <= size_of::<usize>());
    assert!(size_of::<Result<(), Error>>() <= size_of::<usize>());
}

#[test]
fn a_position_that_is_known_stays_when_more_is_added() {
    let inner = Position { offset: Some(512), path: Some(Escaped::new(b"a")), ..Position::default() };
    let outer = Position { offset: Some(0), entry: Some(3), ..Position::default() };
    let error = Error::from(Violation::Truncated).at(inner).at(outer);
    assert_eq!(error.to_string(), r#"refused [truncated]: entry 3, byte 512, "a": the archive is truncated"#);
}
