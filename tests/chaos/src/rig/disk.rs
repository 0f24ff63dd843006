//! A node's disk: a small ext4 of its own on a loop device, which can be cut off, hung, filled
//! or made slow without touching anybody else's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::ioctl;

use super::alone;
use crate::tools::run;

/// ext4's and XFS's "no request gets through any more", as the kernel numbers it.
const SHUTDOWN: ioctl::Opcode = ioctl::opcode::read::<u32>(b'X', 125);

/// What is not on the disk yet is lost: also the file system's own journal is not written.
const WITHOUT_LOG: u32 = 2;

/// What fills a disk.
const BALLAST: &str = "ballast";

/// A file system in a file.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    /// The loop device, while it is mounted.
    device: Option<String>,
    is_frozen: bool,
}

impl Disk {
    /// A disk of so many MiB, empty and mounted.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make(dir: &Path, name: &str, mebibytes: u64) -> Result<Self> {
        let (image, mount) = (dir.join(format!("{name}.img")), dir.join(name));
        fs::create_dir_all(&mount)?;
        File::create(&image)?.set_len(mebibytes << 20)?;
        let mut disk = Self { image, mount, device: None, is_frozen: false };
        let image = disk.image.display().to_string();
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-m", "0", "-E", lazy, &image])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// The device's numbers, as control groups name it.
    ///
    /// # Errors
    ///
    /// When it is not mounted.
    pub fn numbers(&self) -> Result<String> {
        let device = self.device.as_deref().context("the disk is not mounted")?;
        let name = device.trim_start_matches("/dev/");
        let numbers = fs::read_to_string(format!("/sys/block/{name}/dev"))?;
        Ok(numbers.trim().to_owned())
    }

    /// Makes its files reachable.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn mount(&mut self) -> Result<()> {
        if self.device.is_some() {
            return Ok(());
        }
        let (image, mount) = (self.image.display().to_string(), self.mount.display().to_string());
        // Direct: a flush must reach the image, and the machine's cache must not hold it twice.
        // Not every file system below can do that.
        let direct = run("losetup", &["--direct-io=on", "-f", "--show", &image]);
        let device = match direct {
            Ok(device) => device,
            Err(_) => run("losetup", &["-f", "--show", &image])?,
        };
        let device = device.trim().to_owned();
        let mounted = run("mount", &["-o", "noatime,errors=remount-ro", &device, &mount]);
        // The device goes with the mount, also when nobody is left to take it away.
        run("losetup", &["-d", &device])?;
        mounted?;
        self.device = Some(device);
        Ok(())
    }

    /// Makes its files unreachable.
    ///
    /// # Errors
    ///
    /// When somebody uses them.
    pub fn unmount(&mut self) -> Result<()> {
        if self.device.is_some() {
            self.thaw()?;
            run("umount", &[&self.mount.display().to_string()])?;
            self.device = None;
        }
        Ok(())
    }

    /// As if the current had gone: nothing that was not flushed is there at the next mount. Every
    /// later call fails.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn power_cut(&self) -> Result<()> {
        let dir = File::open(&self.mount)?;
        // SAFETY: this number takes a pointer to a u32, and the kernel only reads it.
        #[expect(unsafe_code, reason = "the kernel's own name for this is an ioctl")]
        let done = unsafe { ioctl::ioctl(&dir, ioctl::Setter::<SHUTDOWN, u32>::new(WITHOUT_LOG)) };
        done.context("the file system cannot be shut down")
    }

    /// Writers wait from here on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn freeze(&mut self) -> Result<()> {
        // A frozen file system outlives all that could thaw it.
        alone::note_frozen(&self.mount)?;
        run("fsfreeze", &["-f", &self.mount.display().to_string()])?;
        self.is_frozen = true;
        Ok(())
    }

    /// Writers go on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn thaw(&mut self) -> Result<()> {
        if self.is_frozen {
            run("fsfreeze", &["-u", &self.mount.display().to_string()])?;
            self.is_frozen = false;
        }
        Ok(())
    }

    /// Leaves so many bytes free.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn fill(&self, leave_bytes: u64) -> Result<()> {
        let free = self.free_bytes()?.saturating_sub(leave_bytes);
        let ballast = File::create(self.mount.join(BALLAST))?;
        if free > 0 {
            let flags = rustix::fs::FallocateFlags::empty();
            // The last blocks may be gone meanwhile: the node is writing as well.
            let fewer = free.saturating_sub(1 << 20).max(1);
            rustix::fs::fallocate(&ballast, flags, 0, free)
                .or_else(|_| rustix::fs::fallocate(&ballast, flags, 0, fewer))?;
        }
        Ok(())
    }

    /// Gives back what [`Disk::fill`] took.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make_room(&self) -> Result<()> {
        match fs::remove_file(self.mount.join(BALLAST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Bytes that are free.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn free_bytes(&self) -> Result<u64> {
        let found = rustix::fs::statvfs(&self.mount)?;
        Ok(found.f_bavail * found.f_frsize)
    }

    /// The file system finds itself damaged and lets nobody write.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make_read_only(&self) -> Result<()> {
        let device = self.device.as_deref().context("the disk is not mounted")?;
        let name = device.trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "planted")?;
        Ok(())
    }

    /// Mends what the file system thinks of itself; it must not be mounted.
    ///
    /// # Errors
    ///
    /// When it cannot be mended.
    pub fn repair(&self) -> Result<()> {
        run("sh", &["-c", &format!("e2fsck -fy {} || [ $? -eq 1 ]", self.image.display())])
            .map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.thaw());
        drop(self.unmount());
    }
}
