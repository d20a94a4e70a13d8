//! Counts the spans of an OTLP `ExportTraceServiceRequest` without decoding them.

/// The number of spans, or `None` when the bytes are no protobuf.
///
/// A request holds `resource_spans = 1`, these `scope_spans = 2`, and these `spans = 2`.
pub fn count_spans(request: &[u8]) -> Option<u64> {
    let mut count = 0;
    each_message(request, 1, &mut |resource_spans| {
        each_message(resource_spans, 2, &mut |scope_spans| {
            each_message(scope_spans, 2, &mut |_| {
                count += 1;
                Some(())
            })
        })
    })?;
    Some(count)
}

/// Calls `found` with every embedded message of this field, and steps over all others.
fn each_message(mut message: &[u8], field: u64, found: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (body, rest) = message.split_at_checked(length)?;
        if tag >> 3 == field && tag & 7 == 2 {
            found(body)?;
        }
        message = rest;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(field: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 3 | 2, u8::try_from(body.len()).unwrap()];
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn spans_are_counted_over_all_scopes_and_resources() {
        let span = message(2, &[0x0a, 0x01, 0xff]);
        let scope = message(2, &[message(1, b"scope"), span.clone(), span.clone(), message(3, b"url")].concat());
        let resource = message(1, &[message(1, b"res"), scope.clone(), scope].concat());
        assert_eq!(count_spans(&[resource.clone(), resource].concat()), Some(8));
        assert_eq!(count_spans(&[]), Some(0));
    }

    #[test]
    fn what_is_no_protobuf_has_no_number() {
        for bad in [&[0x0a][..], &[0x0a, 0x05, 0x00], &[0x0f], &[0xff; 12]] {
            assert_eq!(count_spans(bad), None, "{bad:?}");
        }
    }
}
