//! Which types may go to another thread, and which several threads may share.

use super::SURFACE;
use super::surface::Kind;
#[cfg(feature = "sandbox")]
use layercage::sandbox;
use layercage::*;
use std::collections::BTreeSet;

/// Fails to compile if a type in a list lacks the bounds of the list; gives the types as text.
macro_rules! types {
    ($bounds:path: $($ty:ty,)+) => {{
        fn holds<T: $bounds>() {}
        $(holds::<$ty>();)+
        [$(stringify!($ty)),+]
    }};
}

trait Shareable: Send + Sync {}
impl<T: Send + Sync> Shareable for T {}

#[test]
fn every_public_type_may_go_to_another_thread() {
    // These exist for one call of a sink. They borrow the caller's reader and observer, which one thread alone may use.
    let lent = types!(Sized:
        sink::Data<'static>,
        sink::Reporter<'static>,
    );
    // These hold a function of the caller, which one thread at a time may call.
    let one_at_a_time = types!(Send:
        Session<'static>,
        erofs::Writer<'static>,
        overlay::StagedOverlay<'static, 'static>,
        sink::Filter<'static, Rootfs>,
    );
    let shared = types!(Shareable:
        Applied,
        Digest,
        Error,
        Expected,
        Image,
        Layer<std::fs::File>,
        Limits,
        MergedTree,
        Policy,
        Report,
        Rootfs,
        Scratch,
        Selected,
        Selector,
        Staged,
        Unpacker,
        audit::Audit,
        audit::Finding,
        audit::Lower,
        blob::Algorithm,
        blob::Blob,
        blob::Checked,
        blob::Format,
        blob::LayerStream<std::fs::File>,
        blob::Verified<blob::Blob>,
        ErofsImage,
        ErofsLayer,
        ErofsLayers,
        ErofsOptions,
        HiddenContent,
        erofs::Attributes<'static>,
        erofs::BlockSize,
        erofs::Content,
        erofs::Entries,
        erofs::EntryNode,
        erofs::NodeKind<'static>,
        erofs::Options,
        erofs::Salt,
        erofs::Verity,
        erofs::Written,
        error::Blame,
        error::Effect,
        error::ErrorKind,
        error::Escaped,
        error::LayerPosition,
        error::Misuse,
        error::Occupant,
        error::Position,
        error::Remedy,
        error::SelectBy,
        error::SystemError,
        error::UnknownWord,
        image::BlobReader,
        image::Descriptor,
        image::HistoryEntry,
        image::ImageConfig,
        image::ImageForm,
        image::LayerDescriptor,
        image::ListedManifest,
        image::ManifestKind,
        image::Platform,
        image::What,
        merged::Hidden<'static>,
        merged::Hiding,
        merged::Kind<'static>,
        merged::LayerSummary,
        merged::ContentCache,
        merged::Merger,
        merged::Node<'static>,
        merged::Nodes<'static>,
        merged::Part<'static>,
        overlay::Overlay,
        overlay::OverlayFormat,
        overlay::OverlayImage,
        overlay::OverlayLayer,
        overlay::OverlayNamespace,
        overlay::OverlayStore,
        overlay::Whiteouts,
        policy::BadIdMap,
        policy::Devices,
        policy::Durability,
        policy::Fifos,
        policy::IdMap,
        policy::IdRange,
        policy::Links,
        policy::Mtime,
        policy::OwnerMap,
        policy::Owners,
        policy::OwnersKind,
        policy::Ownership,
        policy::Preset,
        policy::SelinuxLabel,
        policy::SetId,
        policy::Terms,
        policy::Verdict,
        policy::Xattrs,
        progress::Advance,
        progress::Cancellation,
        progress::Step,
        rules::ArchiveBytes,
        rules::Because,
        rules::FoundInstead,
        rules::JsonProblem,
        rules::Limit,
        rules::Note,
        rules::Octal,
        rules::Quirk,
        rules::QuirkRule,
        rules::Row,
        rules::Rule,
        rules::SizeSeen,
        rules::UnsupportedType,
        rules::Violation,
        rules::ViolationRule,
        sink::Judged<tar::Change>,
        sink::LayerContext<'static>,
        sink::Piece<'static>,
        sink::SinkError,
        sink::StagedFile,
        sink::TarSink<std::fs::File>,
        sink::Tee<Rootfs, Rootfs>,
        sink::Visibility,
        tar::Change,
        tar::ChangeKind,
        tar::Component<'static>,
        tar::Device,
        tar::DeviceKind,
        tar::EndMark,
        tar::Entry,
        tar::EntryKind,
        tar::EntryPath,
        tar::FileKind,
        tar::LinkTarget,
        tar::Metadata,
        tar::Segment,
        tar::Skippable,
        tar::SparseMap,
        tar::TarReader<std::fs::File>,
        tar::TimeOutOfRange,
        tar::Timestamp,
        tar::Xattr,
    );
    #[cfg(feature = "sandbox")]
    let of_sandbox = types!(Shareable:
        sandbox::Forbidden,
        sandbox::Sandbox<'static>,
        sandbox::SandboxStatus,
    );
    #[cfg(not(feature = "sandbox"))]
    let of_sandbox: [&str; 0] = [];
    let listed = lent.iter().chain(&one_at_a_time).chain(&shared).chain(&of_sandbox);
    let listed: Vec<_> = listed.map(|name| name.split('<').next().unwrap().replace(' ', "")).collect();
    let types = SURFACE.definitions().filter(|line| matches!(line.kind, Kind::Struct | Kind::Enum));
    let types = types.filter(|line| cfg!(feature = "sandbox") || !line.features.contains("sandbox"));
    let types: BTreeSet<_> = types.map(|line| line.owner.clone()).collect();
    let once: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!((once, listed.len()), (types.clone(), types.len()), "every type stands in one of the lists");
}
