//! Level 0, data types that all modules use. No I/O, no dependency on other modules.

pub(crate) mod acl;
mod broken;
mod cancellation;
mod cause;
mod change;
mod choice;
mod convert;
mod cursor;
mod deferred;
mod device;
mod digest;
mod entry;
mod error;
mod escaped;
mod file_kind;
mod followed;
#[cfg(feature = "unpack")]
mod hiding;
mod holes;
mod limit;
mod limits;
mod misuse;
mod name;
mod occupant;
#[cfg(feature = "unpack")]
mod overlay;
mod owners;
mod place_id;
mod place_set;
mod policy;
mod position;
mod remedy;
mod report;
mod reserved;
mod rule;
mod rule_data;
#[cfg(feature = "sandbox")]
mod sandbox_status;
mod selinux_label;
#[cfg(feature = "serde")]
mod serialise;
mod source;
mod sparse;
mod terms;
mod timestamp;
mod unsupported_type;
mod verdict;
mod word;
mod work;

pub use broken::Rule;
pub use cancellation::Cancellation;
pub use change::{Change, ChangeKind, Skippable};
pub use choice::{Devices, Durability, Fifos, Links, SetId, Xattrs};
pub(crate) use cursor::{Cursor, Got, Next, stored};
#[cfg(feature = "unpack")]
pub(crate) use deferred::SharedWork;
pub(crate) use deferred::{DeferredWork, Lock};
pub use device::{Device, DeviceKind};
pub use digest::{Algorithm, Digest};
pub use entry::{Entry, EntryKind, Metadata, Xattr};
pub use error::{Blame, Effect, Error, ErrorKind, SystemError};
pub use escaped::Escaped;
pub use file_kind::FileKind;
pub(crate) use followed::Followed;
#[cfg(feature = "unpack")]
pub use hiding::Hiding;
pub(crate) use holes::HolesRead;
pub use limit::Limit;
pub use limits::Limits;
pub use misuse::{Misuse, SelectBy};
pub(crate) use name::WHITEOUT;
pub use name::{Component, EntryPath, LinkTarget};
pub use occupant::Occupant;
#[cfg(feature = "unpack")]
pub use overlay::{OverlayFormat, OverlayNamespace, Whiteouts};
#[cfg(feature = "unpack")]
pub(crate) use overlay::{WHITEOUT_DEVICE, is_overlay_attribute};
pub use owners::{BadIdMap, IdMap, IdRange, OwnerMap, Owners, OwnersKind};
pub(crate) use place_id::{PlaceId, PlaceKey};
pub(crate) use place_set::PlaceSet;
pub use policy::{Mtime, Policy};
pub use position::{LayerPosition, Position};
pub use remedy::Remedy;
pub use report::{Finding, Note, Report};
pub use reserved::is_reserved_name;
pub(crate) use reserved::{DIGITS, RUN, STAGE, has_digits, refuse_reserved};
pub use rule::{Quirk, QuirkRule, Row, Violation, ViolationRule};
pub use rule_data::{ArchiveBytes, Because, FoundInstead, JsonProblem, Octal, SizeSeen};
#[cfg(feature = "sandbox")]
pub use sandbox_status::{Forbidden, SandboxStatus};
pub use selinux_label::SelinuxLabel;
#[cfg(feature = "serde")]
pub(crate) use serialise::{put_attributes, put_bytes};
pub use source::Source;
pub use sparse::{Segment, SparseMap};
pub use terms::{Ownership, Terms};
pub use timestamp::{TimeOutOfRange, Timestamp};
pub use unsupported_type::UnsupportedType;
pub use verdict::{Preset, Verdict};
pub use word::UnknownWord;
#[cfg(feature = "serde")]
pub(crate) use word::from_text;
pub(crate) use word::{named, words};
pub(crate) use work::Work;
