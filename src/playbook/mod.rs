//! Playbook files to checked plans.
