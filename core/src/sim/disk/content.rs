//! The bytes of one simulated file, in pages that copies share.
//!
//! Knows nothing of durability: a file has two contents, what the page cache holds and what the
//! platter holds (`crate::sim::disk::files`). Cloning copies page pointers, never bytes.

use std::fmt;
use std::sync::Arc;

/// Unit in which a page cache writes back, and in which a power cut loses.
pub const PAGE_BYTES: u32 = 4096;

const PAGE: usize = PAGE_BYTES as usize;

type Page = Arc<[u8; PAGE]>;

/// A file's bytes. Bytes of the last page past the length are zero.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Content {
    pages: Vec<Page>,
    length: u32,
}

impl Content {
    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Number of pages, the last perhaps partly used.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.length.div_ceil(PAGE_BYTES)
    }

    /// Writes `bytes` at `position`; a gap before it reads as zeros.
    pub fn write(&mut self, position: u32, bytes: &[u8]) {
        let end = end_of(position, bytes.len());
        if end > self.length {
            self.set_length(end);
        }
        let mut at = position as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = at % PAGE;
            let taken = rest.len().min(PAGE - within);
            let page = Arc::make_mut(&mut self.pages[at / PAGE]);
            page[within..within + taken].copy_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            at += taken;
        }
    }

    /// Cuts the file, or extends it with zeros.
    pub fn set_length(&mut self, length: u32) {
        self.pages
            .resize_with(length.div_ceil(PAGE_BYTES) as usize, || Arc::new([0; PAGE]));
        let used = (length % PAGE_BYTES) as usize;
        if length < self.length && used > 0 {
            let last = self
                .pages
                .last_mut()
                .expect("a length within a page has one");
            Arc::make_mut(last)[used..].fill(0);
        }
        self.length = length;
    }

    /// At most `length` bytes from `position`; fewer where the file ends.
    #[must_use]
    pub fn read(&self, position: u32, length: u32) -> Vec<u8> {
        let end = self.length.min(position.saturating_add(length)) as usize;
        let mut at = position as usize;
        let mut bytes = Vec::with_capacity(end.saturating_sub(at));
        while at < end {
            let within = at % PAGE;
            let taken = (end - at).min(PAGE - within);
            bytes.extend_from_slice(&self.pages[at / PAGE][within..within + taken]);
            at += taken;
        }
        bytes
    }

    /// All bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.read(0, self.length)
    }

    /// Takes page `index` as `other` has it, zeros where `other` ends before it. The length stays;
    /// the page must lie within it.
    pub fn copy_page(&mut self, index: u32, other: &Self) {
        assert!(index < self.page_count(), "a page past the end of the file");
        let place = &mut self.pages[index as usize];
        match other.pages.get(index as usize) {
            Some(page) => *place = Arc::clone(page),
            None => *place = Arc::new([0; PAGE]),
        }
        self.clear_past_end();
    }

    /// The pages in which the two contents differ.
    #[must_use]
    pub fn pages_that_differ(&self, other: &Self) -> Vec<u32> {
        let count = self.page_count().max(other.page_count());
        (0..count)
            .filter(|&index| {
                let here = self.pages.get(index as usize);
                let there = other.pages.get(index as usize);
                match (here, there) {
                    (Some(a), Some(b)) => !Arc::ptr_eq(a, b) && a != b,
                    (None, None) => false,
                    (Some(_), None) | (None, Some(_)) => true,
                }
            })
            .collect()
    }

    fn clear_past_end(&mut self) {
        let used = (self.length % PAGE_BYTES) as usize;
        if used > 0
            && let Some(last) = self.pages.last_mut()
            && last[used..].iter().any(|&byte| byte != 0)
        {
            Arc::make_mut(last)[used..].fill(0);
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.length)
    }
}

fn end_of(position: u32, length: usize) -> u32 {
    let length = u32::try_from(length).expect("one write is smaller than 4 GiB");
    position
        .checked_add(length)
        .expect("a simulated file stays below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_was_written_across_pages() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        content.write(0, &bytes[..5000]);
        content.write(5000, &bytes[5000..]);
        assert_eq!(content.to_vec(), bytes);
        assert_eq!(content.read(4090, 20), bytes[4090..4110]);
        assert_eq!(content.read(9_990, 100), bytes[9_990..]);
        assert_eq!(content.read(20_000, 1), Vec::<u8>::new());
    }

    #[test]
    fn a_cut_file_grows_again_with_zeros() {
        let mut content = Content::default();
        content.write(0, &[7; 100]);
        let shared = content.clone();
        content.set_length(10);
        content.set_length(20);
        assert_eq!(content.to_vec()[..10], [7; 10]);
        assert_eq!(content.to_vec()[10..], [0; 10]);
        assert_eq!(shared.to_vec(), vec![7; 100]);
        content.write(4096, b"x");
        assert_eq!(content.page_count(), 2);
        assert_eq!(content.pages_that_differ(&shared), vec![0, 1]);
    }
}
