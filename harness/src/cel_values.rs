//! How Envoy hands a value of the expression language to a plugin: as bare bytes, whose type the plugin knows.

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelString, CelTimestamp, CelUInt,
};
use cel::common::value::Val;

use crate::abi::Status;
use crate::cel_headers::Headers;
use crate::headers::HeaderMap;

/// Bytes of a value: text as it is, numbers and times (in nanoseconds) as eight little-endian bytes, a truth as one,
/// lists and maps as header maps of such bytes. Types, null and objects have none.
pub(crate) fn to_bytes(value: &dyn Val) -> Result<Vec<u8>, Status> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(text.inner().as_bytes().to_vec());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return Ok(bytes.inner().to_vec());
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Ok(vec![u8::from(*truth.inner())]);
    }
    if let Some(pairs) = pairs(value)? {
        if pairs.is_empty() {
            return Ok(vec![0; 4]);
        }
        let mut map = HeaderMap::new();
        for (key, value) in pairs {
            map.push_as_is(&key, &value);
        }
        return Ok(map.encode());
    }
    eight_bytes(value).map(Vec::from).ok_or(Status::SerializationFailure)
}

fn eight_bytes(value: &dyn Val) -> Option<[u8; 8]> {
    let integer = value.downcast_ref::<CelInt>().map(|value| value.inner().to_le_bytes());
    let unsigned = || value.downcast_ref::<CelUInt>().map(|value| value.inner().to_le_bytes());
    let double = || value.downcast_ref::<CelDouble>().map(|value| value.inner().to_le_bytes());
    let nanoseconds = || {
        let duration = value.downcast_ref::<CelDuration>().map(|value| value.inner().num_nanoseconds());
        let time = || value.downcast_ref::<CelTimestamp>().map(|value| value.inner().timestamp_nanos_opt());
        Some(duration.or_else(time)??.to_le_bytes())
    };
    integer.or_else(unsigned).or_else(double).or_else(nanoseconds)
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The entries of a map, by their bytes in order, or the elements of a list with nothing beside them.
fn pairs(value: &dyn Val) -> Result<Option<Pairs>, Status> {
    if let Some(headers) = value.downcast_ref::<Headers>() {
        let bytes = |text: &CelString<'_>| text.inner().as_bytes().to_vec();
        return Ok(Some(headers.entries.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()));
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let elements = list.inner().iter().map(|element| Ok((to_bytes(element.as_ref())?, Vec::new())));
        return elements.collect::<Result<_, _>>().map(Some);
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let entries =
            map.inner().iter().map(|(key, value)| Ok((to_bytes(key.inner())?, to_bytes(value.as_ref())?)));
        let mut entries = entries.collect::<Result<Pairs, Status>>()?;
        entries.sort();
        return Ok(Some(entries));
    }
    Ok(None)
}
