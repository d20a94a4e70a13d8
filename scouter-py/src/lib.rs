//! The Python face of Scouter
