//! `flowdistill completions` and `flowdistill man`: what a shell and a reader of manuals know of this program.

use super::{Cli, Global};
use crate::error::{Error, Result};
use crate::shown::say;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill completions bash > ~/.local/share/bash-completion/completions/flowdistill\n  \
    flowdistill completions zsh > ~/.zfunc/_flowdistill\n  \
    flowdistill completions fish > ~/.config/fish/completions/flowdistill.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill man | man -l -\n  flowdistill man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write the page of every command into this folder, rather than the first one to standard output
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub fn completions(options: &Completions, _global: &Global) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "flowdistill", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}

pub fn man(options: &Man, global: &Global) -> Result<()> {
    let Some(folder) = &options.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Error::invalid)?;
        return super::print(&String::from_utf8_lossy(&page));
    };
    let refuse = |error| Error::output(folder, error);
    std::fs::create_dir_all(folder).map_err(refuse)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(refuse)?;
    if !global.quiet {
        say!("the pages are in {}", folder.display());
    }
    Ok(())
}
