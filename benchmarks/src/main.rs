//! The program that makes dirty data and measures how fast and how well it is cleaned.

use std::process::ExitCode;

use benchmarks::commands::{
    all, attack, compare, demo, determinism, distribution, flight_sql, fuzz, generate,
    near_dup_quality, near_dup_speed, quality, soak, speed,
};
use clap::{Parser, Subcommand};

/// Counts what inputs of `fuzz` take; for everything else it is the system's.
#[global_allocator]
static MEMORY: benchmarks::fuzz::Counting = benchmarks::fuzz::Counting;

#[derive(Parser)]
#[command(name = "benchmarks", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generate(generate::GenerateArgs),
    Demo(demo::DemoArgs),
    Speed(speed::SpeedArgs),
    Quality(quality::QualityArgs),
    NearDupQuality(near_dup_quality::NearDupQualityArgs),
    NearDupSpeed(near_dup_speed::NearDupSpeedArgs),
    Determinism(determinism::DeterminismArgs),
    Distribution(distribution::DistributionArgs),
    FlightSql(flight_sql::FlightSqlArgs),
    Soak(soak::SoakArgs),
    Attack(attack::AttackArgs),
    Fuzz(fuzz::FuzzArgs),
    All(all::AllArgs),
    Compare(compare::CompareArgs),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Speed(args) => speed::run(&args),
        Command::Quality(args) => quality::run(&args),
        Command::NearDupQuality(args) => near_dup_quality::run(&args),
        Command::NearDupSpeed(args) => near_dup_speed::run(&args),
        Command::Determinism(args) => determinism::run(&args),
        Command::Distribution(args) => distribution::run(&args),
        Command::FlightSql(args) => flight_sql::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Attack(args) => attack::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::All(args) => all::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
