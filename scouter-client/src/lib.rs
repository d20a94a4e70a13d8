//! Query types shared with the server, and the HTTP client that asks it
