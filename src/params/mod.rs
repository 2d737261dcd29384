//! Owning trainable tensors: naming them, copying them out and in, saving and loading them, and the optimiser's state.

mod adam;
mod average;
mod checkpoint_file;
mod pieces;
mod tensors_file;

pub use adam::{Adam, AdamConfig};
pub use average::Average;
pub use checkpoint_file::{load_checkpoint, save_checkpoint, Parts};
pub use pieces::norm;
pub use tensors_file::{load, save, Loaded, NamedTensor};

use crate::error::Result;
use crate::ops::Rows;
use dfdx::prelude::{CopySlice, Dtype, TensorFromVec};

/// Something that owns trainable tensors. Every tensor is flat and holds unmasked values only.
pub trait Parameters<E: Dtype, D: CopySlice<E>> {
    /// All tensors with their names, always in the same order.
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)>;

    /// All tensors, in the order of [`Parameters::parameters`].
    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>>;

    /// The number of trainable values.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, tensor)| tensor_len(tensor)).sum()
    }

    /// A copy of all values.
    fn snapshot(&self) -> Vec<Vec<E>> {
        self.parameters().iter().map(|(_, tensor)| values(tensor)).collect()
    }

    /// Puts a [`Parameters::snapshot`] back. Tensors keep their identity (and so their gradients' place).
    ///
    /// # Panics
    /// If the snapshot was taken of something of another shape.
    fn restore(&mut self, snapshot: &[Vec<E>])
    where
        D: Send,
    {
        let count = snapshot.iter().map(Vec::len).sum();
        let pairs = self.parameters_mut().into_iter().zip(snapshot);
        pieces::for_each_tensor(count, pairs, |(tensor, values)| tensor.copy_from(values));
    }
}

/// The number of values of a flat tensor.
pub fn tensor_len<E: Dtype, D: CopySlice<E>>(tensor: &Rows<E, D>) -> usize {
    use dfdx::shapes::{HasShape, Shape};
    tensor.shape().num_elements()
}

/// Copies the values of a flat tensor.
///
/// # Panics
/// If `to` is not as long as the tensor.
pub fn copy_values<E: Dtype, D: CopySlice<E>>(tensor: &Rows<E, D>, to: &mut [E]) {
    tensor.copy_into(to);
}

/// The values of a flat tensor.
pub fn values<E: Dtype, D: CopySlice<E>>(tensor: &Rows<E, D>) -> Vec<E> {
    let mut out = vec![E::default(); tensor_len(tensor)];
    tensor.copy_into(&mut out);
    out
}

/// A new tensor with these values and an identity of its own.
///
/// A clone of a tensor would keep the identity of the original, and gradients are kept by identity.
pub fn tensor<E: Dtype, D: TensorFromVec<E>>(device: &D, values: Vec<E>) -> Result<Rows<E, D>> {
    let len = values.len();
    device.try_tensor_from_vec(values, (len,)).map_err(|error| crate::error::Error::Tensor(format!("{error:?}")))
}
