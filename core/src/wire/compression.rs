//! The four codecs of record batches, both directions, with bounded output.
//!
//! Only where the broker must look inside a batch, and in clients: produced batches are stored as
//! they came. Framings are Kafka's: gzip members, snappy in xerial's chunks (raw blocks are read
//! too), LZ4 frames, zstd frames. Pure Rust, so that a browser runs the same code.

use std::fmt;
use std::io::{Read, Write};

use crate::limits::ZSTD_WINDOW_BYTES_MAX;
use crate::wire::batch::Compression;

/// Why compressed records could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CompressionError {
    /// The bytes are not what the codec writes.
    Malformed,
    /// They become more bytes than allowed.
    TooLarge,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the compressed records are malformed",
            Self::TooLarge => "the compressed records become larger than allowed",
        })
    }
}

/// First bytes of xerial's snappy framing; a version and a compatible version follow, 4 bytes each.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
/// Bytes compressed at a time (xerial's default).
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// Decompresses `input` into at most `output_max` bytes.
///
/// # Errors
/// Malformed input, or too much output; memory stays below a small multiple of `output_max`.
pub fn decompress(
    codec: Compression,
    input: &[u8],
    output_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None => bounded(input, output_max),
        Compression::Gzip => bounded(flate2::read::MultiGzDecoder::new(input), output_max),
        Compression::Snappy => decompress_snappy(input, output_max),
        Compression::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(input), output_max),
        Compression::Zstd => decompress_zstd(input, output_max),
    }
}

/// Reads to the end, or until there is one byte too many.
fn bounded(source: impl Read, output_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    append_bounded(source, output_max, &mut output)?;
    Ok(output)
}

fn append_bounded(
    source: impl Read,
    output_max: usize,
    output: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let left = output_max.saturating_sub(output.len()) as u64;
    source
        .take(left + 1)
        .read_to_end(output)
        .map_err(|_malformed| CompressionError::Malformed)?;
    if output.len() > output_max {
        return Err(CompressionError::TooLarge);
    }
    Ok(())
}

fn decompress_zstd(mut input: &[u8], output_max: usize) -> Result<Vec<u8>, CompressionError> {
    // A frame of a single segment has no window but its content.
    let window_max = ZSTD_WINDOW_BYTES_MAX.max(output_max) as u64;
    let mut output = Vec::new();
    while !input.is_empty() {
        let decoder =
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(&mut input, window_max)
                .map_err(|_malformed| CompressionError::Malformed)?;
        append_bounded(decoder, output_max, &mut output)?;
    }
    Ok(output)
}

fn decompress_snappy(input: &[u8], output_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        append_snappy_block(input, output_max, &mut output)?;
        return Ok(output);
    }
    let mut rest = input
        .get(XERIAL_HEADER_BYTES..)
        .ok_or(CompressionError::Malformed)?;
    while !rest.is_empty() {
        let (length, after) = rest
            .split_first_chunk::<4>()
            .ok_or(CompressionError::Malformed)?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = after.get(..length).ok_or(CompressionError::Malformed)?;
        rest = &after[length..];
        append_snappy_block(block, output_max, &mut output)?;
    }
    Ok(output)
}

fn append_snappy_block(
    block: &[u8],
    output_max: usize,
    output: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let malformed = |_error| CompressionError::Malformed;
    let length = snap::raw::decompress_len(block).map_err(malformed)?;
    if length > output_max.saturating_sub(output.len()) {
        return Err(CompressionError::TooLarge);
    }
    // Snappy's densest element makes 64 bytes of 3: a length beyond that is a lie, and is found
    // out before memory is reserved for it.
    if length > block.len().saturating_mul(64) {
        return Err(CompressionError::Malformed);
    }
    let start = output.len();
    output.resize(start + length, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, &mut output[start..])
        .map_err(malformed)?;
    output.truncate(start + written);
    Ok(())
}

/// Compresses `input`, appending to `output`.
pub fn compress(codec: Compression, input: &[u8], output: &mut Vec<u8>) {
    const MEMORY: &str = "writing to memory does not fail";
    match codec {
        Compression::None => output.extend_from_slice(input),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
            encoder.write_all(input).expect(MEMORY);
            encoder.finish().expect(MEMORY);
        }
        Compression::Snappy => compress_snappy(input, output),
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, output);
            encoder.write_all(input).expect(MEMORY);
            encoder.finish().expect(MEMORY);
        }
        Compression::Zstd => {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            ruzstd::encoding::compress(input, output, level);
        }
    }
}

fn compress_snappy(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&XERIAL_MAGIC);
    output.extend_from_slice(&1u32.to_be_bytes());
    output.extend_from_slice(&1u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_BYTES) {
        let compressed = encoder
            .compress_vec(block)
            .expect("32 KiB are within snappy's limit");
        let length = u32::try_from(compressed.len()).expect("a block of 32 KiB stays small");
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&compressed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn samples() -> Vec<Vec<u8>> {
        let mut random = vec![0; 100_000];
        Rng::new(1).fill(&mut random);
        let text = "the same words again and again ".repeat(5_000);
        vec![Vec::new(), b"a".to_vec(), random, text.into_bytes()]
    }

    #[test]
    fn every_codec_gives_back_what_it_took() {
        for codec in Compression::ALL {
            for sample in samples() {
                let mut compressed = Vec::new();
                compress(codec, &sample, &mut compressed);
                let output = decompress(codec, &compressed, sample.len());
                assert!(output == Ok(sample), "{codec:?}");
            }
        }
    }

    #[test]
    fn output_beyond_the_cap_is_refused() {
        let bomb = vec![0u8; 8 * 1024 * 1024];
        for codec in Compression::ALL {
            let mut compressed = Vec::new();
            compress(codec, &bomb, &mut compressed);
            let output = decompress(codec, &compressed, bomb.len() - 1);
            assert_eq!(output, Err(CompressionError::TooLarge), "{codec:?}");
        }
    }

    #[test]
    fn damage_is_an_error_or_other_bytes_but_never_a_panic() {
        let mut rng = Rng::new(7);
        for codec in Compression::ALL {
            let mut compressed = Vec::new();
            compress(codec, &samples()[3][..4_000], &mut compressed);
            for cut in 0..compressed.len().min(300) {
                let _any = decompress(codec, &compressed[..cut], 10_000);
            }
            for _round in 0..2_000 {
                let mut damaged = compressed.clone();
                for _byte in 0..rng.between(1, 4) {
                    let at = usize::try_from(rng.below(damaged.len() as u64)).unwrap();
                    damaged[at] = u8::try_from(rng.below(256)).unwrap();
                }
                if let Ok(output) = decompress(codec, &damaged, 10_000) {
                    assert!(output.len() <= 10_000);
                }
            }
        }
    }

    #[test]
    fn raw_snappy_is_read() {
        let block = snap::raw::Encoder::new().compress_vec(b"hello").unwrap();
        let output = decompress(Compression::Snappy, &block, 100);
        assert_eq!(output, Ok(b"hello".to_vec()));
        let lie = [0xff, 0xff, 0xff, 0x7f, 0];
        assert!(decompress(Compression::Snappy, &lie, usize::MAX).is_err());
    }
}
