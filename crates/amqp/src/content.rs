//! Content: a publish, its header and its body frames made into one message.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::frame;
use crate::method::Arguments;
use crate::{Bound, ChannelError, ConnectionError, MethodId, ReplyCode, header};

/// The largest body that may be configured; beyond it a client's size is taken for a broken frame.
pub(crate) const BODY_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Pieces of a body below this size are copied together: a body in frames of one byte would
/// otherwise cost a handle, and keep alive a read buffer, for every byte.
const SHARED_PIECE_BYTES: usize = 4096;

/// What a client hears that sent something else in place of a content header.
const NO_HEADER: &str =
    "expected content header for class 60, got non content header frame instead";

/// A message's body: one piece as a rule, several where it came in several frames.
///
/// Cheap to clone. The pieces are slices of what was read from the socket and keep that buffer alive.
#[derive(Clone, Debug)]
pub struct Body(Pieces);

#[derive(Clone, Debug)]
enum Pieces {
    One(Bytes),
    Many { pieces: Arc<[Bytes]>, len: usize },
}

impl Body {
    /// The body that `pieces` make, one behind the other.
    #[must_use]
    pub fn from_pieces(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        if pieces.len() > 1 {
            let len = pieces.iter().map(Bytes::len).sum();
            Self(Pieces::Many { pieces: pieces.into(), len })
        } else {
            Self(Pieces::One(pieces.pop().unwrap_or_default()))
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many { len, .. } => *len,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order. An empty body may have one empty piece.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(bytes) => std::slice::from_ref(bytes),
            Pieces::Many { pieces, .. } => pieces,
        }
    }

    /// All bytes in one piece; copies where there are several.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Pieces::One(bytes) => bytes.clone(),
            Pieces::Many { pieces, .. } => pieces.concat().into(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self(Pieces::One(Bytes::new()))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Pieces::One(bytes))
    }
}

impl PartialEq for Body {
    /// Bodies are equal where their bytes are, however they came in.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.pieces().iter().flatten().eq(other.pieces().iter().flatten())
    }
}

impl Eq for Body {}

/// A basic.publish whose content is still to come.
#[derive(Debug, Default)]
pub(crate) struct Publish {
    pub(crate) exchange: Bytes,
    pub(crate) routing_key: Bytes,
    pub(crate) mandatory: bool,
    pub(crate) immediate: bool,
}

/// What a channel has of the content that is under way.
#[derive(Debug, Default)]
pub(crate) enum Unfinished {
    /// No content is under way.
    #[default]
    Nothing,
    /// The method, but not its header.
    Header(Publish),
    /// The method and its header, but not all of the body.
    Body(UnfinishedBody),
}

/// Content whose body is not whole.
#[derive(Debug)]
pub(crate) struct UnfinishedBody {
    publish: Publish,
    header: Bytes,
    left: u64,
    parts: BodyParts,
}

/// Content that is whole.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) publish: Publish,
    pub(crate) header: Bytes,
    pub(crate) body: Body,
}

/// What a content frame led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More frames are to come.
    Unfinished,
    /// The message is whole.
    Whole(Content),
    /// The message is larger than this server takes: the channel ends.
    TooLarge(ChannelError),
}

impl Unfinished {
    /// Takes a content header frame.
    pub(crate) fn header(
        &mut self,
        payload: &[u8],
        burst: &Bytes,
        max_bytes: u64,
    ) -> Result<Progress, ConnectionError> {
        let (size, header) = match self {
            Self::Header(_) => content_header(payload)?,
            Self::Nothing | Self::Body(_) => return Err(self.unexpected()),
        };
        if size > BODY_MAX_BYTES {
            let detail = format_args!(
                "content body size {size} exceeds maximum allowed size {BODY_MAX_BYTES}"
            );
            return Err(
                ConnectionError::new(ReplyCode::FrameError, detail).at(MethodId::BASIC_PUBLISH)
            );
        }
        if size > max_bytes {
            return Ok(Progress::TooLarge(too_large(size, max_bytes)));
        }
        header::check(header)?;
        let Self::Header(publish) = std::mem::take(self) else { return Err(self.unexpected()) };
        let header = burst.slice_ref(header);
        if size == 0 {
            return Ok(Progress::Whole(Content { publish, header, body: Body::default() }));
        }
        let parts = BodyParts::default();
        *self = Self::Body(UnfinishedBody { publish, header, left: size, parts });
        Ok(Progress::Unfinished)
    }

    /// Takes a body frame.
    pub(crate) fn body(
        &mut self,
        payload: &[u8],
        burst: &Bytes,
    ) -> Result<Progress, ConnectionError> {
        let Self::Body(unfinished) = self else { return Err(self.unexpected()) };
        let size = length(payload);
        unfinished.left = unfinished.left.checked_sub(size).ok_or_else(|| {
            let left = unfinished.left;
            let detail = "content body frame exceeds remaining content size";
            ConnectionError::new(ReplyCode::FrameError, detail)
                .at(MethodId::BASIC_PUBLISH)
                .with_note(format_args!("{size} bytes where {left} were to come"))
        })?;
        if unfinished.left > 0 {
            unfinished.parts.push(payload, burst);
            return Ok(Progress::Unfinished);
        }
        let Self::Body(finished) = std::mem::take(self) else { return Err(self.unexpected()) };
        let UnfinishedBody { publish, header, left: _, parts } = finished;
        Ok(Progress::Whole(Content { publish, header, body: parts.finish(payload, burst) }))
    }

    /// Bytes of body that are held here.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self {
            Self::Nothing | Self::Header(_) => 0,
            Self::Body(unfinished) => unfinished.parts.bytes,
        }
    }

    /// The error for a frame that cannot come next.
    pub(crate) fn unexpected(&self) -> ConnectionError {
        let (detail, method) = match self {
            Self::Nothing => {
                ("expected method frame, got non method frame instead", MethodId::NONE)
            }
            Self::Header(_) => (NO_HEADER, MethodId::BASIC_PUBLISH),
            Self::Body(_) => (
                "expected content body, got non content body frame instead",
                MethodId::BASIC_PUBLISH,
            ),
        };
        ConnectionError::new(ReplyCode::UnexpectedFrame, detail).at(method)
    }
}

/// Body size, and the property flags and list behind it.
fn content_header(payload: &[u8]) -> Result<(u64, &[u8]), ConnectionError> {
    let mut arguments = Arguments::new(payload);
    let fixed = (arguments.short(), arguments.short(), arguments.long_long());
    let (Ok(class), Ok(weight), Ok(size)) = fixed else {
        return Err(frame::damaged(frame::HEADER, "content header ends too early"));
    };
    if weight != 0 {
        return Err(ConnectionError::new(ReplyCode::UnexpectedFrame, NO_HEADER)
            .at(MethodId::BASIC_PUBLISH)
            .with_note(format_args!("its weight is {weight}, which must be 0")));
    }
    let expected = MethodId::BASIC_PUBLISH.class;
    if class != expected {
        let detail = format_args!(
            "expected content header for class {expected}, got one for class {class} instead"
        );
        return Err(
            ConnectionError::new(ReplyCode::UnexpectedFrame, detail).at(MethodId::BASIC_PUBLISH)
        );
    }
    Ok((size, arguments.rest()))
}

fn too_large(size: u64, max: u64) -> ChannelError {
    let detail = if max == BODY_MAX_BYTES {
        format!("message size {size} is larger than max size {max}")
    } else {
        format!("message size {size} is larger than configured max size {max}")
    };
    ChannelError::new(ReplyCode::PreconditionFailed, detail)
        .at(MethodId::BASIC_PUBLISH)
        .beyond(Bound::MessageSize)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}

/// The pieces of a body so far.
///
/// **Invariant:** `small` holds what came after the last of `shared`.
#[derive(Debug, Default)]
struct BodyParts {
    shared: Vec<Bytes>,
    small: BytesMut,
    bytes: u64,
}

impl BodyParts {
    fn push(&mut self, piece: &[u8], burst: &Bytes) {
        self.bytes = self.bytes.saturating_add(length(piece));
        if piece.len() < SHARED_PIECE_BYTES {
            self.small.extend_from_slice(piece);
            return;
        }
        self.close_small();
        self.shared.push(burst.slice_ref(piece));
    }

    fn finish(mut self, last: &[u8], burst: &Bytes) -> Body {
        if self.bytes == 0 {
            return Body::from(burst.slice_ref(last));
        }
        self.push(last, burst);
        self.close_small();
        Body::from_pieces(self.shared)
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.shared.push(std::mem::take(&mut self.small).freeze());
        }
    }
}
