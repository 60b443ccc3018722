//! Real and odd files that others collected.
