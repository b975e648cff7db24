use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}
