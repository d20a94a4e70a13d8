"""Certificates of an authority that only the test knows."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues one certificate for the server and one for the client."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._server = self._authority.issue_cert("localhost", "127.0.0.1")
        client = self._authority.issue_cert("client@example.com")
        self.ca_file = folder / "ca.pem"
        self.server_certificate_file = folder / "server.pem"
        self.server_key_file = folder / "server.key"
        self.certificate_file = folder / "client.pem"
        self.key_file = folder / "client.key"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        client.private_key_pem.write_to_path(str(self.key_file))
        self._server.private_key_pem.write_to_path(str(self.server_key_file))
        for file, issued in ((self.certificate_file, client), (self.server_certificate_file, self._server)):
            file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def server_side(self, protocol: str, client_certificates: bool = False) -> ssl.SSLContext:
        """What a server of this protocol ends TLS with; asks for the client's certificate where wanted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        self._authority.configure_trust(context)
        if client_certificates:
            context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"] if protocol == "grpc" else ["http/1.1"])
        return context
