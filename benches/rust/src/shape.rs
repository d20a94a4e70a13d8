//! The span that every peer records: one HTTP request with ten attributes and one event.

/// The span's name.
pub const NAME: &str = "GET /items/{id}";

/// Attributes that hold text.
pub const TEXTS: [(&str, &str); 6] = [
    ("http.request.method", "GET"),
    ("url.scheme", "https"),
    ("url.path", "/items/4711"),
    ("server.address", "shop.example.com"),
    ("http.route", "/items/{id}"),
    ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"),
];

/// Attributes that hold whole numbers.
pub const NUMBERS: [(&str, i64); 2] = [("http.response.status_code", 200), ("server.port", 8443)];

/// An attribute that holds a fraction.
pub const FRACTION: (&str, f64) = ("app.price", 17.25);

/// An attribute that is true or false.
pub const FLAG: (&str, bool) = ("app.cache_hit", true);

/// The event's name and its attribute.
pub const EVENT: (&str, (&str, i64)) = ("cache.lookup", ("app.attempts", 2));

/// A header as it arrives from a caller.
pub const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
