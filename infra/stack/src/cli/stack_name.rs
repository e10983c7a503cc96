//! Names of stacks.

use diptych_stack::Stack;

/// Name of the stack unless one is given.
pub(super) const DEFAULT: &str = "default";

/// Returns the option `--name STACK` to append to a command, empty for the default stack.
pub(super) fn name_option(stack: &Stack) -> String {
    if stack.name() == DEFAULT { String::new() } else { format!(" --name {}", stack.name()) }
}
