//! A shared library that exports the C interface which BridgeStan publishes around a Stan model: the only file that runs foreign code
//! in this process.
//!
//! The declarations are by hand, after the interface's documentation (version 2; Roualdes et al. 2023, *Journal of Open Source
//! Software* 8(87), 5236).

use super::{fault_of_names, MOST_COORDINATES};
#[cfg(unix)]
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
#[cfg(not(unix))]
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString};
use std::path::Path;
use std::ptr::{null_mut, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The major version of the interface that is declared here.
const MAJOR: c_int = 2;

/// The seed of whatever a model draws while it reads its data.
const SEED: c_uint = 1;

/// What the interface returns for a point that was refused; anything else but 0 is taken for the end.
const REFUSED: c_int = -1;

type Model = *mut c_void;
type Message = *mut *mut c_char;
type Construct = unsafe extern "C" fn(*const c_char, c_uint, Message) -> Model;
type Destruct = unsafe extern "C" fn(Model);
type FreeMessage = unsafe extern "C" fn(*mut c_char);
type UnconstrainedNumber = unsafe extern "C" fn(Model) -> c_int;
type UnconstrainedNames = unsafe extern "C" fn(Model) -> *const c_char;
type Number = unsafe extern "C" fn(Model, bool, bool) -> c_int;
type Names = unsafe extern "C" fn(Model, bool, bool) -> *const c_char;
type Constrain = unsafe extern "C" fn(Model, bool, bool, *const f64, *mut f64, *mut c_void, Message) -> c_int;
type Gradient = unsafe extern "C" fn(Model, bool, bool, *const f64, *mut f64, *mut f64, Message) -> c_int;
type Print = unsafe extern "C" fn(*const c_char, usize);
type SetPrint = unsafe extern "C" fn(Print, Message) -> c_int;

/// A constructed model of a loaded library.
pub(super) struct Loaded {
    model: NonNull<c_void>,
    destruct: Destruct,
    free_message: FreeMessage,
    gradient: Gradient,
    constrain: Option<Constrain>,
    /// The names of the unconstrained coordinates.
    pub names: Vec<String>,
    /// The names of the constrained values, transformed parameters included, where the library tells.
    pub constrained_names: Option<Vec<String>>,
    serial: Option<Mutex<()>>,
}

// SAFETY: the model is an object on the C++ heap that belongs to no thread. It is used through `Session` only, one at a time unless the
// user says that the library may be called from several threads, which the interface promises for one built with STAN_THREADS.
unsafe impl Send for Loaded {}
// SAFETY: as above; evaluation does not change the model.
unsafe impl Sync for Loaded {}

/// What became of one evaluation.
pub(super) enum Outcome {
    /// The log density, with all constants and the Jacobian.
    Value(f64),
    /// The point was refused, and why.
    Refused(String),
    /// There is no sense in going on, and why.
    Fatal(String),
}

impl Loaded {
    /// Loads `path` and constructs its model from `data`, the text of a JSON file. With `threads` it may be called from several.
    pub fn open(path: &Path, data: &str, threads: bool) -> Result<Self, String> {
        let shown = path.display();
        let data = CString::new(data).map_err(|_| "its data contain a zero byte; JSON text is right".to_string())?;
        // SAFETY: this runs the library's initialisers, which may do anything: the user has allowed it (`--allow-native`).
        let library = unsafe { load(path) }.map_err(|error| {
            // What the loader says is what it comes of.
            let error = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("cannot load {shown}: {error}; a library with all that it needs, as scripts/build_stan.sh links it, is right")
        })?;
        // Never unloaded: what is taken from it below stays valid, and thread-local destructors of C++ still find their code.
        let library: &'static Library = Box::leak(Box::new(library));

        // SAFETY: the symbol, where it exists, is an `int` by the interface's documentation, and nobody writes to it.
        let major = unsafe { library.get::<*const c_int>(b"bs_major_version\0").ok().map(|major| **major) };
        if let Some(major) = major.filter(|&major| major != MAJOR) {
            return Err(format!("{shown}: has version {major} of the interface; version {MAJOR} is right"));
        }
        let construct: Construct = symbol(library, path, "bs_model_construct")?;
        let destruct: Destruct = symbol(library, path, "bs_model_destruct")?;
        let free_message: FreeMessage = symbol(library, path, "bs_free_error_msg")?;
        let number: UnconstrainedNumber = symbol(library, path, "bs_param_unc_num")?;
        let names: UnconstrainedNames = symbol(library, path, "bs_param_unc_names")?;
        let gradient: Gradient = symbol(library, path, "bs_log_density_gradient")?;
        let constrained: Result<(Number, Names, Constrain), String> = (|| {
            let number = symbol(library, path, "bs_param_num")?;
            Ok((number, symbol(library, path, "bs_param_names")?, symbol(library, path, "bs_param_constrain")?))
        })();

        let mut message = null_mut();
        if let Ok(set_print) = symbol::<SetPrint>(library, path, "bs_set_print_callback") {
            // SAFETY: the declaration is the interface's, and `print` lives as long as the program.
            unsafe { set_print(print, &mut message) };
            take(&mut message, free_message);
        }
        // SAFETY: the text ends with zero and outlives the call; the message is null or a string that `take` frees.
        let model = unsafe { construct(data.as_ptr(), SEED, &mut message) };
        let reason = take(&mut message, free_message);
        let Some(model) = NonNull::new(model) else {
            let reason = reason.unwrap_or_else(|| "it does not say why".into());
            return Err(format!("{shown}: the model cannot be constructed from its data: {reason}"));
        };
        // From here on the model is destroyed with this value, whatever else goes wrong.
        let mut loaded = Self {
            model,
            destruct,
            free_message,
            gradient,
            constrain: None,
            names: Vec::new(),
            constrained_names: None,
            serial: (!threads).then(|| Mutex::new(())),
        };
        // SAFETY: the model was just constructed by the same library.
        let dim = unsafe { number(model.as_ptr()) };
        let Some(dim) = usize::try_from(dim).ok().filter(|dim| (1..=MOST_COORDINATES).contains(dim)) else {
            return Err(format!("{shown}: has {dim} unconstrained parameters; 1 to {MOST_COORDINATES} are right"));
        };
        // SAFETY: the names are a string that the model owns; it is copied at once.
        loaded.names = unsafe { list(names(model.as_ptr())) };
        if let Some(fault) = fault_of_names(&loaded.names, dim) {
            return Err(format!("{shown}: has {fault}"));
        }
        if let Ok((number, names, constrain)) = constrained {
            // SAFETY: as above.
            let (count, names) =
                unsafe { (number(model.as_ptr(), true, false), list(names(model.as_ptr(), true, false))) };
            let count = usize::try_from(count).ok().filter(|&count| count <= 10 * MOST_COORDINATES);
            if let Some(fault) = fault_of_names(&names, count.unwrap_or(0)) {
                return Err(format!("{shown}: has {fault} in constrained space"));
            }
            (loaded.constrain, loaded.constrained_names) = (Some(constrain), Some(names));
        }
        Ok(loaded)
    }

    /// The right to call the library, alone if it cannot be called from several threads.
    pub fn session(&self) -> Session<'_> {
        let guard = self.serial.as_ref().map(|serial| serial.lock().unwrap_or_else(PoisonError::into_inner));
        Session { loaded: self, _guard: guard }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: constructed by the same library, destroyed once, and nobody else has it.
        unsafe { (self.destruct)(self.model.as_ptr()) }
    }
}

/// The right to call a library.
pub(super) struct Session<'a> {
    loaded: &'a Loaded,
    _guard: Option<MutexGuard<'a, ()>>,
}

impl Session<'_> {
    /// log γ at an unconstrained point and its gradient, with the Jacobian and all constants.
    ///
    /// # Panics
    /// If there are not as many numbers as names.
    pub fn log_density(&self, point: &[f64], gradient: &mut [f64]) -> Outcome {
        let dim = self.loaded.names.len();
        assert!(point.len() == dim && gradient.len() == dim, "one number for each coordinate");
        let (mut value, mut message) = (f64::NAN, null_mut());
        let model = self.loaded.model.as_ptr();
        // SAFETY: the model reads `dim` numbers and writes one and `dim`, as the lengths just checked allow; the message is null or a
        // string that `take` frees. Calls do not overlap unless the library allows it.
        let code = unsafe {
            let gradient = gradient.as_mut_ptr();
            (self.loaded.gradient)(model, false, true, point.as_ptr(), &mut value, gradient, &mut message)
        };
        let message = take(&mut message, self.loaded.free_message);
        match (code, message) {
            (0, _) => Outcome::Value(value),
            (REFUSED, message) => Outcome::Refused(message.unwrap_or_else(|| "the model refuses the point".into())),
            (_, Some(message)) => Outcome::Fatal(message),
            (_, None) => Outcome::Fatal(format!("it returned {code} without a reason")),
        }
    }

    /// The constrained values of an unconstrained point, if the library has the map.
    ///
    /// # Panics
    /// If there are not as many numbers as names.
    pub fn constrain(&self, point: &[f64], values: &mut [f64]) -> Result<(), String> {
        let (Some(constrain), Some(names)) = (self.loaded.constrain, &self.loaded.constrained_names) else {
            return Err("the library does not export bs_param_num, bs_param_names and bs_param_constrain".into());
        };
        assert!(point.len() == self.loaded.names.len() && values.len() == names.len(), "one number for each name");
        let mut message = null_mut();
        let (model, values) = (self.loaded.model.as_ptr(), values.as_mut_ptr());
        // SAFETY: the model reads and writes as many numbers as it said, which the lengths just checked allow; no generated quantities
        // are asked for, so that it needs no random numbers. For the rest see `log_density`.
        let code = unsafe { constrain(model, true, false, point.as_ptr(), values, null_mut(), &mut message) };
        match (code, take(&mut message, self.loaded.free_message)) {
            (0, _) => Ok(()),
            (code, message) => Err(message.unwrap_or_else(|| format!("it returned {code} without a reason"))),
        }
    }
}

/// Loads a library with all that it needs, so that what it lacks is known now and not in the midst of a run.
///
/// # Safety
/// As that of the initialisers of the library, which run.
unsafe fn load(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: by the function's own contract.
    #[cfg(unix)]
    return unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    // SAFETY: by the function's own contract.
    #[cfg(not(unix))]
    return unsafe { Library::new(path) };
}

/// The function of that name.
fn symbol<T: Copy>(library: &'static Library, path: &Path, name: &str) -> Result<T, String> {
    // SAFETY: every `T` here is the type of that function in the interface's documentation, which a library that exports the name
    // claims to follow; this cannot be checked.
    let symbol = unsafe { library.get::<T>(name.as_bytes()) };
    symbol.map(|symbol| *symbol).map_err(|_| {
        format!(
            "{}: does not export `{name}`; a library with BridgeStan's interface (version {MAJOR}) is right",
            path.display()
        )
    })
}

/// The message, freed.
fn take(message: &mut *mut c_char, free: FreeMessage) -> Option<String> {
    let taken = std::mem::replace(message, null_mut());
    if taken.is_null() {
        return None;
    }
    // SAFETY: not null, so a string that ends with zero and is ours to free with the library's own function, once.
    let text = unsafe {
        let text = CStr::from_ptr(taken).to_string_lossy().trim().to_string();
        free(taken);
        text
    };
    Some(text)
}

/// The names in a comma-separated string.
///
/// # Safety
/// `names` is null or a string that ends with zero.
unsafe fn list(names: *const c_char) -> Vec<String> {
    if names.is_null() {
        return Vec::new();
    }
    // SAFETY: by the function's own contract.
    let text = unsafe { CStr::from_ptr(names) }.to_string_lossy().into_owned();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(str::to_string).collect()
}

/// What the model prints, on standard error: standard output is for results.
unsafe extern "C" fn print(text: *const c_char, length: usize) {
    use std::io::Write;
    if !text.is_null() {
        // Some callers declare an `int`, of which only the lower half of the register is set; texts are far shorter than that.
        let length = length as u32 as usize;
        // SAFETY: the interface hands over `length` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        let _ = std::io::stderr().write_all(bytes);
    }
}
