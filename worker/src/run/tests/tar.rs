//! Archives for tests of what is copied out of containers.

/// An archive as an engine writes it, or as nobody should.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Adds an entry whose header says a size of its own.
    pub(crate) fn says(mut self, name: &[u8], kind: u8, size: u64, data: &[u8]) -> Self {
        if name.len() > 100 {
            let record = |length: usize| [format!("{length} path=").as_bytes(), name, b"\n"].concat();
            let length = (0..).find(|length| record(*length).len() == *length).unwrap();
            self = self.says(b"pax", b'x', length as u64, &record(length));
        }
        let mut header = [0u8; 512];
        let shown = &name[..name.len().min(100)];
        header[..shown.len()].copy_from_slice(shown);
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds an entry without content.
    pub(crate) fn entry(self, name: &str, kind: u8) -> Self {
        self.says(name.as_bytes(), kind, 0, b"")
    }

    /// Adds a file.
    pub(crate) fn file(self, name: &str, data: &str) -> Self {
        self.says(name.as_bytes(), b'0', data.len() as u64, data.as_bytes())
    }

    /// Ends the archive.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
