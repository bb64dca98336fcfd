//! The words that users type: for each type one list, from which everything about its words is made.

use std::fmt::{self, Display};

/// An error: the text is not one of the accepted words, or does not have the accepted form.
///
/// ```
/// # use layercage::policy::Devices;
/// # use layercage::tar::Timestamp;
/// let unknown = "maybe".parse::<Devices>().unwrap_err();
/// assert_eq!(unknown.to_string(), "not a way to handle devices: expected `refuse`, `skip` or `create`");
/// let unknown = "today".parse::<Timestamp>().unwrap_err();
/// assert!(unknown.to_string().starts_with("not a time: expected "));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord {
    what: &'static str,
    needed: Needed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    OneOf(&'static [&'static str]),
    Form(&'static str),
}

impl UnknownWord {
    /// A text that is not one of these words. `what` is what they are, with an article.
    pub(crate) const fn among(what: &'static str, words: &'static [&'static str]) -> Self {
        Self { what, needed: Needed::OneOf(words) }
    }

    /// A text that has not this form.
    pub(crate) const fn of_form(what: &'static str, form: &'static str) -> Self {
        Self { what, needed: Needed::Form(form) }
    }

    /// What the text should be, with an article: `a time`, for example.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The words to choose from; empty if the text has a form instead.
    pub fn choices(&self) -> &'static [&'static str] {
        match self.needed {
            Needed::OneOf(words) => words,
            Needed::Form(_) => &[],
        }
    }
}

impl Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}: expected ", self.what)?;
        match self.needed {
            Needed::Form(form) => f.write_str(form),
            Needed::OneOf([words @ .., last]) if !words.is_empty() => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                write!(f, "{} or `{last}`", words.join(", "))
            }
            Needed::OneOf(words) => write!(f, "`{}`", words.concat()),
        }
    }
}

impl std::error::Error for UnknownWord {}

/// Implements `Display`, `FromStr`, and with the feature `serde` both directions of data, for a type with a list `ALL`
/// and a method that names each of its values.
macro_rules! named {
    ($name:ident, $what:literal, $method:ident, [$($word:expr),+]) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.$method())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                const WORDS: &[&str] = &[$($word),+];
                let found = Self::ALL.iter().copied().find(|known| known.$method() == word);
                found.ok_or($crate::words::UnknownWord::among($what, WORDS))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.$method())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::words::from_text(deserializer)
            }
        }
    };
}

/// Defines enums whose values are words. The text in front of each is what its words are, with an article.
macro_rules! words {
    ($($what:literal: $(#[$doc:meta])* enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[doc = concat!("The word for it in options and data:" $(, " `", $word, "`",)","+ " as [`FromStr`](std::str::FromStr) reads it.")]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        $crate::words::named!($name, $what, name, [$($word),+]);
    )+};
}

pub(crate) use {named, words};

/// Reads a value from its text.
#[cfg(feature = "serde")]
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: Display>,
{
    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(|unknown| serde::de::Error::custom(format_args!("{text:?} is {unknown}")))
}

#[cfg(test)]
mod tests {
    use crate::words::*;
    use std::fmt::Display;
    use std::str::FromStr;

    /// Each word names its value and no other; what is not a word is answered with all that are.
    fn come_back<T: Copy + PartialEq + std::fmt::Debug + Display + FromStr<Err = UnknownWord>>(all: &[T]) {
        for value in all {
            assert_eq!(value.to_string().parse(), Ok(*value));
            assert_eq!(all.iter().filter(|other| other.to_string() == value.to_string()).count(), 1);
        }
        for text in ["", "no such word", &all[0].to_string().to_uppercase(), &format!("{} ", all[0])] {
            let unknown = text.parse::<T>().unwrap_err();
            let words: Vec<_> = all.iter().map(ToString::to_string).collect();
            assert_eq!(unknown.choices(), words);
            assert!(words.iter().all(|word| unknown.to_string().contains(&format!("`{word}`"))), "{unknown}");
        }
    }

    #[test]
    fn every_word_comes_back_as_it_was_written() {
        come_back(Devices::ALL);
        come_back(Fifos::ALL);
        come_back(SetId::ALL);
        come_back(Links::ALL);
        come_back(Xattrs::ALL);
        come_back(Durability::ALL);
        come_back(OwnersKind::ALL);
        come_back(Verdict::ALL);
        come_back(Preset::ALL);
        come_back(Algorithm::ALL);
        come_back(DeviceKind::ALL);
        come_back(Limit::ALL);
        #[cfg(feature = "unpack")]
        {
            come_back(OverlayNamespace::ALL);
            come_back(Whiteouts::ALL);
        }
        come_back(QuirkRule::ALL);
        come_back(ViolationRule::ALL);
        #[cfg(feature = "sandbox")]
        come_back(Forbidden::ALL);
        come_back(crate::read::Format::ALL);
        #[cfg(feature = "image")]
        {
            come_back(crate::image::ImageForm::ALL);
            come_back(crate::image::What::ALL);
            come_back(crate::image::ManifestKind::ALL);
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_word_is_the_same_in_data() {
        assert_eq!(serde_json::to_string(&Links::Clamp).unwrap(), r#""clamp""#);
        assert_eq!(serde_json::from_str::<QuirkRule>(r#""ragged-end""#).unwrap(), QuirkRule::RaggedEnd);
        let error = serde_json::from_str::<Devices>(r#""keep""#).unwrap_err();
        assert!(error.to_string().contains("\"keep\" is not a way to handle devices"), "{error}");
    }
}
