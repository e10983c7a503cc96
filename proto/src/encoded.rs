//! A protobuf message in encoded form.

use std::{fmt, hash, marker::PhantomData};

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, skip_field},
};

/// An encoded message `M`, used as a field in place of `M` itself, so that a stored row is sent without decoding it.
/// The wire format is the same.
pub struct Encoded<M> {
    bytes: Bytes,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Encoded<M> {
    /// Wraps an encoded `M`. The bytes are not validated: they come from the product's own views.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, message: PhantomData }
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When the bytes are not an encoded `M`.
    pub fn parse(&self) -> Result<M, DecodeError> {
        M::decode(self.bytes.clone())
    }
}

impl<M> Message for Encoded<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.bytes);
    }

    /// Appends the encoded field, so that a decoded `Encoded` holds an encoding of the same message.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut field = Vec::from(std::mem::take(&mut self.bytes));
        encode_key(tag, wire_type, &mut field);
        match wire_type {
            WireType::Varint => encode_varint(prost::encoding::decode_varint(buf)?, &mut field),
            WireType::LengthDelimited => {
                let mut value = Bytes::new();
                prost::encoding::bytes::merge(wire_type, &mut value, buf, context)?;
                encode_varint(value.len() as u64, &mut field);
                field.extend_from_slice(&value);
            }
            WireType::SixtyFourBit => {
                let mut value = 0_u64;
                prost::encoding::fixed64::merge(wire_type, &mut value, buf, context)?;
                field.extend_from_slice(&value.to_le_bytes());
            }
            WireType::ThirtyTwoBit => {
                let mut value = 0_u32;
                prost::encoding::fixed32::merge(wire_type, &mut value, buf, context)?;
                field.extend_from_slice(&value.to_le_bytes());
            }
            // Groups do not exist in proto3; skip_field returns the error.
            WireType::StartGroup | WireType::EndGroup => return skip_field(wire_type, tag, buf, context),
        }
        self.bytes = field.into();
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl<M> Clone for Encoded<M> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), message: PhantomData }
    }
}

impl<M> Default for Encoded<M> {
    fn default() -> Self {
        Self { bytes: Bytes::new(), message: PhantomData }
    }
}

impl<M> fmt::Debug for Encoded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.bytes.len())
    }
}

impl<M> PartialEq for Encoded<M> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<M> Eq for Encoded<M> {}

impl<M> hash::Hash for Encoded<M> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}
