//! Decoding what cannot be cut into a plain UTF-8 file that can, once, in bounded memory.

use std::io::{self, Read, Write};

use encoding_rs::{CoderResult, Encoding};

use super::error::SourceError;
use super::options::{Compression, ContentLimits, DecompressedLimit};
use planner_storage::{ByteFile, Place, PlaceWriter};

/// Memory of a decoder of xz at its highest usual level.
const XZ_DICTIONARY: u64 = 128 << 20;

/// Bytes decoded at a time.
const CHUNK: usize = 256 * 1024;

/// Where the stages of one source file are put.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    directory: Place,
    number: usize,
    shown: String,
}

impl Stage {
    pub fn new(directory: &Place, number: usize, shown: &str) -> Self {
        Self {
            directory: directory.clone(),
            number,
            shown: shown.to_owned(),
        }
    }

    /// Writes a stage file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be written, or `fill` fails.
    pub fn write<T>(
        &self,
        step: &str,
        fill: impl FnOnce(&mut PlaceWriter) -> Result<T, SourceError>,
    ) -> Result<(ByteFile, T), SourceError> {
        let failed = |e| SourceError::io(&self.shown, "write a staged copy of", e);
        self.directory.make_folder().map_err(failed)?;
        let place = self.directory.join(&format!("{:06}-{step}", self.number));
        // What an earlier try has left.
        if let Place::Local(path) = &place
            && let Err(e) = path.remove_file()
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(failed(e));
        }
        let mut out = place.create().map_err(failed)?;
        let done = fill(&mut out)?;
        out.close().map_err(failed)?;
        Ok((ByteFile::find(&place).map_err(failed)?, done))
    }

    /// Decompresses the file.
    ///
    /// # Errors
    /// When the data is corrupt or exceeds a limit, or the copy cannot be written.
    pub fn decompress(
        &self,
        file: &ByteFile,
        by: Compression,
        (limit, limits): (DecompressedLimit, &ContentLimits),
    ) -> Result<ByteFile, SourceError> {
        let most = limits.unfolded(file.size());
        let opened = file
            .open(0..file.size())
            .map_err(|e| SourceError::io(&self.shown, "open", e))?;
        let name = match by {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
        };
        let broken = |e: io::Error| {
            SourceError::content(
                &self.shown,
                None,
                format!("the {name} data is corrupt: {e}"),
            )
        };
        let mut reader: Box<dyn Read> = match by {
            Compression::None => opened,
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(opened)),
            Compression::Zstd => {
                Box::new(zstd::stream::read::Decoder::new(opened).map_err(broken)?)
            }
            Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(opened)),
            Compression::Xz => {
                // A stream may ask for a dictionary of 4 GiB.
                let most = limits.held.max(XZ_DICTIONARY);
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    most,
                    liblzma::stream::CONCATENATED,
                );
                let stream = stream.map_err(|e| broken(e.into()))?;
                Box::new(liblzma::read::XzDecoder::new_stream(opened, stream))
            }
        };
        let (staged, ()) = self.write("plain", |out| {
            let mut chunk = vec![0; CHUNK];
            let mut unfolded = 0;
            loop {
                let read = reader.read(&mut chunk).map_err(broken)?;
                if read == 0 {
                    return Ok(());
                }
                unfolded += read as u64;
                if unfolded > limit.0 {
                    return Err(limit.broken(&self.shown));
                }
                if unfolded > most {
                    return Err(SourceError::content(
                        &self.shown,
                        None,
                        format!(
                            "{} bytes of {name} unfold to more than {most}: more than {} times their size",
                            file.size(),
                            limits.ratio
                        ),
                    ));
                }
                out.write_all(&chunk[..read])
                    .map_err(|e| SourceError::io(&self.shown, "write a staged copy of", e))?;
            }
        })?;
        Ok(staged)
    }

    /// Converts the text to UTF-8 and returns whether some bytes were invalid and became U+FFFD.
    ///
    /// # Errors
    /// When the file cannot be read or the copy cannot be written.
    pub fn transcode(
        &self,
        file: &ByteFile,
        from: &'static Encoding,
    ) -> Result<(ByteFile, bool), SourceError> {
        let mut reader = file
            .open(0..file.size())
            .map_err(|e| SourceError::io(&self.shown, "open", e))?;
        let mut decoder = from.new_decoder_with_bom_removal();
        self.write("utf-8", |out| {
            let mut chunk = vec![0; CHUNK];
            let mut text = vec![0; CHUNK * 3];
            let mut replaced = false;
            loop {
                let read = reader
                    .read(&mut chunk)
                    .map_err(|e| SourceError::io(&self.shown, "read", e))?;
                let mut taken = 0;
                loop {
                    let (result, used, written, some) =
                        decoder.decode_to_utf8(&chunk[taken..read], &mut text, read == 0);
                    taken += used;
                    replaced |= some;
                    out.write_all(&text[..written])
                        .map_err(|e| SourceError::io(&self.shown, "write a staged copy of", e))?;
                    if result == CoderResult::InputEmpty {
                        break;
                    }
                }
                if read == 0 {
                    return Ok(replaced);
                }
            }
        })
    }
}
