// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MPP library, loaded at run time.
//!
//! Loaded once for the life of the process and never unloaded: a thread may be inside a call that
//! does not come back.

use std::{
    ffi::{c_char, c_void},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Error, abi::*};

/// Where the library is looked for if nobody names it. The SDKs ship static archives, so whoever
/// runs GStreamer on the chip links one of these from them; the software double is not among
/// them, as it must never pass for the chip unasked.
const USUAL_NAMES: [&str; 3] = ["libk230mpp.so", "libmpp.so", "libkd_mpi.so"];

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of the MPP that a recording needs, as `mpi_venc_api.h`, `mpi_vb_api.h`
        /// and `mpi_sys_api.h` declare them.
        pub(super) struct Functions {
            $(pub $name: unsafe extern "C" fn($($arg: $type),*) $(-> $result)?,)*
        }

        impl Functions {
            fn load(library: &libloading::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: the symbol is used with the prototype of the SDK's header; that the
                    // library is the MPP is what the user says by naming it.
                    $($name: unsafe {
                        *library
                            .get(concat!(stringify!($name), "\0").as_bytes())
                            .map_err(|_| stringify!($name))?
                    },)*
                })
            }
        }
    };
}

functions! {
    fn kd_mpi_venc_create_chn(chn: u32, attr: *mut c_void) -> i32;
    fn kd_mpi_venc_start_chn(chn: u32) -> i32;
    fn kd_mpi_venc_stop_chn(chn: u32) -> i32;
    fn kd_mpi_venc_destroy_chn(chn: u32) -> i32;
    fn kd_mpi_venc_send_frame(chn: u32, frame: *mut k_video_frame_info, ms: i32) -> i32;
    fn kd_mpi_venc_get_stream(chn: u32, stream: *mut k_venc_stream, ms: i32) -> i32;
    fn kd_mpi_venc_release_stream(chn: u32, stream: *mut k_venc_stream) -> i32;
    fn kd_mpi_venc_enable_idr(chn: u32, enable: u32) -> i32;
    fn kd_mpi_venc_request_idr(chn: u32) -> i32;
    fn kd_mpi_venc_set_rotation(chn: u32, rotation: u32) -> i32;
    fn kd_mpi_venc_set_mirror(chn: u32, mirror: u32) -> i32;
    fn kd_mpi_venc_set_dblk(chn: u32, enable: u32) -> i32;
    fn kd_mpi_venc_set_h264_entropy(chn: u32, entropy: *const k_venc_h264_entropy) -> i32;
    fn kd_mpi_venc_set_h265_sao(chn: u32, sao: *const k_venc_h265_sao) -> i32;
    fn kd_mpi_vb_set_config(config: *const k_vb_config) -> i32;
    fn kd_mpi_vb_init() -> i32;
    fn kd_mpi_vb_exit() -> i32;
    fn kd_mpi_vb_create_pool(config: *mut k_vb_pool_config) -> i32;
    fn kd_mpi_vb_destory_pool(pool: u32) -> i32;
    fn kd_mpi_vb_get_block(pool: u32, size: u64, mmz: *const c_char) -> u32;
    fn kd_mpi_vb_release_block(block: u32) -> i32;
    fn kd_mpi_vb_handle_to_phyaddr(block: u32) -> u64;
    fn kd_mpi_sys_mmap(phys_addr: u64, size: u32) -> *mut c_void;
    fn kd_mpi_sys_munmap(virt_addr: *mut c_void, size: u32) -> i32;
}

/// The calls of newer libraries, CanMV's since 2026: their channels are requested, and their stream
/// buffers are a pool's that is attached before the channel is created. The attributes have another
/// layout there, [`k_venc_chn_attr_pooled`].
pub(super) struct Pooled {
    attach: Attach,
    pub detach: unsafe extern "C" fn(chn: u32) -> i32,
    /// Both or neither; without them numbers are the caller's choice.
    pub channels: Option<Channels>,
}

#[derive(Clone, Copy)]
pub(super) struct Channels {
    pub request: unsafe extern "C" fn(chn: *mut u32) -> i32,
    pub release: unsafe extern "C" fn(chn: u32) -> i32,
}

/// In headers where the shorter one is an inline function, the library has the longer one alone.
enum Attach {
    Plain(unsafe extern "C" fn(chn: u32, pool: u32) -> i32),
    Counted(unsafe extern "C" fn(chn: u32, pool: u32, buffers: i32) -> i32),
}

impl Pooled {
    /// `None` for a library of the older kind.
    fn load(library: &libloading::Library) -> Option<Self> {
        macro_rules! find {
            ($name:literal) => {
                // SAFETY: the symbol is used with the prototype of CanMV's header; that the library
                // is the MPP is what the user says by naming it.
                unsafe { library.get(concat!($name, "\0").as_bytes()) }
                    .ok()
                    .map(|symbol| *symbol)
            };
        }
        let attach = find!("kd_mpi_venc_attach_vb_pool")
            .map(Attach::Plain)
            .or_else(|| find!("kd_mpi_venc_attach_vb_pool_ex").map(Attach::Counted))?;
        let request = find!("kd_mpi_venc_request_chn");
        let release = find!("kd_mpi_venc_release_chn");
        Some(Self {
            attach,
            detach: find!("kd_mpi_venc_detach_vb_pool")?,
            channels: request
                .zip(release)
                .map(|(request, release)| Channels { request, release }),
        })
    }

    /// Attaches a pool of so many buffers to a channel that is not created yet.
    pub(crate) fn attach(&self, chn: u32, pool: u32, buffers: u32) -> i32 {
        // SAFETY: plain numbers.
        unsafe {
            match self.attach {
                Attach::Plain(attach) => attach(chn, pool),
                Attach::Counted(attach) => attach(chn, pool, buffers as i32),
            }
        }
    }
}

/// How many channels of ours use the video buffers, and whether we initialised them.
#[derive(Debug, Default)]
pub(super) struct VideoBuffers {
    pub users: u32,
    pub ours: bool,
}

/// The loaded library.
pub struct Library {
    path: PathBuf,
    pub(super) functions: Functions,
    /// `None` for a library whose attributes have the stream buffers in them.
    pub(super) pooled: Option<Pooled>,
    /// Written when a channel is created and when it ends.
    pub(super) video_buffers: Mutex<VideoBuffers>,
    /// Keeps the functions where they are.
    _library: libloading::Library,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.path).finish()
    }
}

impl Library {
    /// Whether it is of the newer kind, CanMV's since 2026: stream buffers are those of a pool that
    /// is attached, and are not in the attributes.
    pub fn attaches_pools(&self) -> bool {
        self.pooled.is_some()
    }

    /// The file or the name it was loaded by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn load(path: &Path) -> Result<Arc<Library>, Error> {
    /// The libraries in the process, kept for good.
    static LOADED: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = loaded.iter().find(|library| library.path == path) {
        return Ok(library.clone());
    }
    let failed = |reason: String| Error::Library {
        path: path.into(),
        reason,
    };
    // SAFETY: loading runs the library's initialisers, which is what naming a library asks for.
    let library = unsafe { libloading::Library::new(path) }
        .map_err(|error| failed(format!("cannot be loaded: {error}")))?;
    let functions = Functions::load(&library).map_err(|symbol| {
        failed(format!(
            "has no function {symbol}, so it is not the MPP library of a K230 SDK"
        ))
    })?;
    let pooled = Pooled::load(&library);
    let library = Arc::new(Library {
        path: path.into(),
        functions,
        pooled,
        video_buffers: Mutex::default(),
        _library: library,
    });
    loaded.push(library.clone());
    Ok(library)
}

/// Loads `named`, else what `K230_MPP_LIBRARY` names, else the first of the usual names.
///
/// # Errors
/// [`Error::Library`] if the one that was named cannot be loaded or lacks a function,
/// [`Error::NoLibrary`] if none was named and there is none.
pub fn open(named: Option<&Path>) -> Result<Arc<Library>, Error> {
    let from_environment = std::env::var_os("K230_MPP_LIBRARY").filter(|name| !name.is_empty());
    match named
        .map(PathBuf::from)
        .or(from_environment.map(PathBuf::from))
    {
        Some(path) => load(&path),
        None => USUAL_NAMES
            .iter()
            .find_map(|name| load(Path::new(name)).ok())
            .ok_or_else(|| Error::NoLibrary {
                tried: USUAL_NAMES.join(", "),
            }),
    }
}
