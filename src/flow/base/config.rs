//! The list of the kinds of base as people write them and as model files carry them. What each is written with stands beside its density.

use super::mixture::MixtureBase;
use super::normal::NormalBase;
use super::settings::BaseSettings;
use super::student_t::StudentTBase;
use super::uniform::{CircleBase, IntervalBase};
use super::von_mises::VonMisesBase;
use serde::{Deserialize, Serialize};

/// Writes the enumeration of all bases, each with what it is written with, those without fields first.
macro_rules! bases {
    (
        without fields { $($(#[$of_bare:meta])* $bare:ident = $of:ident,)* }
        with fields { $($(#[$doc:meta])* $name:ident($settings:ty),)+ }
    ) => {
        /// Which density a flow carries.
        #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
        pub enum BaseConfig {
            $($(#[$of_bare])* $bare,)*
            $(
                $(#[$doc])*
                $name(
                    /// What it is written with.
                    $settings,
                ),
            )+
        }

        impl BaseConfig {
            /// Each as it is written, every field shown with its default.
            pub const CATALOGUE: &'static [&'static str] =
                &[$($of::EXAMPLE,)* $(<$settings>::EXAMPLE,)+];

            /// What it is written with.
            pub fn settings(&self) -> &dyn BaseSettings {
                match self {
                    $(BaseConfig::$bare => &$of,)*
                    $(BaseConfig::$name(settings) => settings,)+
                }
            }
        }
    };
}

bases! {
    without fields {
        /// The standard normal, without parameters.
        #[default]
        Normal = NormalBase,
        /// Uniform on the circle, without parameters: for circular layers.
        Circle = CircleBase,
    }
    with fields {
        /// Independent Student-t coordinates with learned degrees of freedom.
        StudentT(StudentTBase),
        /// A mixture of axis-parallel normal distributions with learned means, scales and weights.
        Mixture(MixtureBase),
        /// Uniform between ±`limit`, without parameters: for layers of an interval.
        Interval(IntervalBase),
        /// Independent von Mises angles around 0 with learned concentrations: for circular layers.
        VonMises(VonMisesBase),
    }
}
