//! Chappe.
