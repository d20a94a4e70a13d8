//! Finished bytes to somewhere: HTTP, gRPC and memory, with retry and timeout around them
