//! `image list`: what containers can be made of.

#[cfg(test)]
mod tests;
mod view;

use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use futures_util::future::join_all;
use tokio::time::timeout;

#[cfg(test)]
pub(super) use self::tests::example;
use self::view::{Answer, View};
use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::Report,
};
use crate::{
    incus::{Client, host::Image},
    model::name::BackendName,
};

/// For what a backend has: somebody looks at a prompt, and the others have answered.
const DEADLINE: Duration = Duration::from_secs(3);

/// What to do with images.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// List the images of the backends, and what `create` takes without one
    List(ImageListArgs),
}

/// Arguments of `image list`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The first table is what the backends have: `create --image IMAGE`. The second is \
    what `create` takes when no image is named: by default, and for each --os-type. An image of a \
    server, such as images:debian/12, any backend fetches when it is needed."
)]
pub struct ImageListArgs {
    /// Only images of this backend
    #[arg(long)]
    pub backend: Option<BackendName>,
}

pub(super) async fn run(command: &ImageCommand, context: &Context) -> Result<Report, Failure> {
    match command {
        ImageCommand::List(args) => list(args.backend.as_ref(), context).await,
    }
}

async fn list(only: Option<&BackendName>, context: &Context) -> Result<Report, Failure> {
    let inventory = context.snapshot();
    let names = inventory.backends.iter().map(|backend| &backend.name);
    let asked: Vec<_> = names.filter(|name| only.is_none_or(|only| only == *name)).collect();
    if let (Some(name), []) = (only, asked.as_slice()) {
        return Err(Failure::new(Kind::NotFound, format!("no backend named \"{name}\""))
            .hint("type `backend list` to see the backends"));
    }
    let answers = join_all(asked.into_iter().map(|name| ask(name, context))).await;
    // Who asks for one alone is told nothing by what the others have.
    if let (Some(_), Some(Answer { images: Err(failure), .. })) = (only, answers.first()) {
        return Err(failure.clone());
    }
    let config = Arc::clone(&context.config.borrow());
    View::new(&answers, &config.create).report()
}

async fn ask(name: &BackendName, context: &Context) -> Answer {
    let images = match context.incus_of(name) {
        Ok(client) => images(name, &client).await,
        Err(failure) => Err(failure),
    };
    Answer { backend: name.clone(), images }
}

/// The images of one backend, or why they are not known.
async fn images(name: &BackendName, client: &Client) -> Result<Vec<Image>, Failure> {
    let Ok(answer) = timeout(DEADLINE, client.images()).await else {
        let message = format!("backend {name} does not answer within {DEADLINE:?}");
        return Err(
            Failure::new(Kind::Unavailable, message).hint("type `status` to see the backends")
        );
    };
    answer.map_err(|error| explain::incus(&format!("ask {name}"), name, &error))
}
