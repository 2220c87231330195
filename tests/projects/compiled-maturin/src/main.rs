//! A program that prints a sum.

fn main() {
    println!("total {}", 100 + 23);
}
