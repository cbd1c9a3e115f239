"""Which server certificate is believed. Only `cryptography`; no asyncua, because that fails open.

asyncua checks a server only if a validator was given *and* the server sent a certificate, compares no
host, accepts a revocation list without a signature, and takes a missing one for an empty one. Here
nothing is believed by default: `TrustList.approve` returns the thumbprint of a certificate or raises.
Whether a person must approve it besides is the matter of `known`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from mfgroute.errors import AdapterError

#: Certificates between the server's and a trusted authority, both included.
PATH_MAX = 5
KEY_BITS_MIN = 2048
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_FILES = {".pem", ".der", ".crt", ".cer", ".crl"}


class TrustList:
    """Pinned thumbprints, or trusted certificates and authorities with their revocation lists."""

    def __init__(
        self,
        *,
        thumbprints: Iterable[str] = (),
        certificates: Sequence[x509.Certificate] = (),
        crls: Sequence[x509.CertificateRevocationList] | None = None,
        application_uri: str | None = None,
        person: bool = False,
    ) -> None:
        """Keep what is trusted.

        Args:
            thumbprints: SHA-256 in hex of certificates that are believed.
            certificates: trusted server certificates and authorities.
            crls: revocation lists; given, each authority of a path needs one that is signed and fresh.
            application_uri: the only one that is accepted.
            person: there is no list and no authority: a person approves each certificate.
        """
        self._pins = {pin.replace(":", "").lower() for pin in thumbprints}
        self._trusted = list(certificates)
        self._crls = crls
        self._application_uri = application_uri
        self._person = person

    def lists(self, certificate: x509.Certificate) -> bool:
        """Whether this very certificate is among the trusted ones."""
        return certificate in self._trusted

    def approve(
        self, blob: bytes | None, *, application_uri: str | None, host: str, now: datetime | None = None
    ) -> str:
        """Believe a server certificate, or not.

        Args:
            blob: certificate in DER, with or without those of its authorities behind it.
            application_uri: what the server says it is.
            host: of the endpoint, as configured.
            now: the present; the system's without.

        Returns:
            SHA-256 of the certificate in hex.

        Raises:
            AdapterError: it is not believed; the message says why.
        """
        now = now or datetime.now(UTC)
        if not blob:
            raise AdapterError("the server sent no certificate")
        certificate, *sent = chain(blob)
        print_ = thumbprint(certificate)
        if self._pins and print_ not in self._pins:
            raise AdapterError(f"the server's certificate is not pinned: sha256 {print_}")
        # A pin and a person name one key, whatever hosts its certificate is for and whoever signed it.
        single = bool(self._pins) or self._person
        path = [certificate] if single else self._path(certificate, sent)
        for one in path:
            _check_time(one, now)
            _check_strength(one)
        _check_usage(certificate)
        self._check_uri(certificate, application_uri)
        if single:
            return print_
        _check_host(certificate, host)
        if self._crls is not None:
            self._check_revoked(path, now)
        return print_

    def _path(
        self, certificate: x509.Certificate, sent: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        path = [certificate]
        while path[-1] not in self._trusted:
            issuer = _issuer(path[-1], [*self._trusted, *sent])
            if issuer is None or issuer in path or len(path) >= PATH_MAX:
                raise AdapterError(
                    f"the server's certificate is not trusted: {certificate.subject.rfc4514_string()}, "
                    f"sha256 {thumbprint(certificate)}"
                )
            _check_authority(issuer, below=len(path) - 1)
            path.append(issuer)
        # Revocation is checked up to the root where it is trusted too.
        while (
            (issuer := _issuer(path[-1], self._trusted)) is not None
            and issuer not in path
            and len(path) < PATH_MAX
        ):
            path.append(issuer)
        return path

    def _check_uri(self, certificate: x509.Certificate, claimed: str | None) -> None:
        expected = self._application_uri or claimed
        found = _names(certificate).get_values_for_type(x509.UniformResourceIdentifier)
        if not expected or expected not in found or (claimed and claimed != expected):
            raise AdapterError(
                f"the server's application URI does not fit: certificate {found}, "
                f"server {claimed!r}, expected {expected!r}"
            )

    def _check_revoked(self, path: Sequence[x509.Certificate], now: datetime) -> None:
        for one in path:
            if one.issuer == one.subject:
                continue
            issuer = _issuer(one, path)
            if issuer is None:
                raise AdapterError(f"no authority to ask whether {one.subject.rfc4514_string()} is revoked")
            fresh = [crl for crl in self._crls or () if _is_fresh(crl, issuer, now)]
            if not fresh:
                raise AdapterError(
                    f"no signed and fresh revocation list of {issuer.subject.rfc4514_string()}"
                )
            if any(crl.get_revoked_certificate_by_serial_number(one.serial_number) for crl in fresh):
                raise AdapterError(f"the certificate is revoked: {one.subject.rfc4514_string()}")


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def named(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """The application URIs and the hosts that a certificate names."""
    try:
        found = _names(certificate)
    except AdapterError:
        return [], []
    hosts = [
        *found.get_values_for_type(x509.DNSName),
        *map(str, found.get_values_for_type(x509.IPAddress)),
    ]
    return found.get_values_for_type(x509.UniformResourceIdentifier), hosts


def chain(blob: bytes) -> list[x509.Certificate]:
    """The certificates of a blob of concatenated DER.

    Raises:
        AdapterError: it is not made of certificates.
    """
    found: list[x509.Certificate] = []
    try:
        while blob and len(found) < PATH_MAX:
            size = _der_size(blob)
            found.append(x509.load_der_x509_certificate(blob[:size]))
            blob = blob[size:]
    except (ValueError, IndexError) as error:
        raise AdapterError(f"the server sent a certificate that cannot be read: {error}") from error
    return found


def load(paths: Iterable[Path]) -> list[x509.Certificate]:
    """Certificates of files and folders, PEM or DER.

    Raises:
        AdapterError: a file cannot be read, or there is none.
    """
    found: list[x509.Certificate] = []
    for path, data in _read(paths):
        try:
            if b"-----BEGIN" in data:
                found += x509.load_pem_x509_certificates(data)
            else:
                found.append(x509.load_der_x509_certificate(data))
        except ValueError as error:
            raise AdapterError(f"{path} is no certificate: {error}") from error
    if not found:
        raise AdapterError(f"no trusted certificate in {', '.join(map(str, paths))}")
    return found


def load_crls(paths: Iterable[Path]) -> list[x509.CertificateRevocationList]:
    """Revocation lists of files and folders, PEM or DER.

    Raises:
        AdapterError: a file cannot be read.
    """
    found = []
    for path, data in _read(paths):
        try:
            found.append(
                x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
            )
        except ValueError as error:
            raise AdapterError(f"{path} is no revocation list: {error}") from error
    return found


def _read(paths: Iterable[Path]) -> list[tuple[Path, bytes]]:
    files: list[Path] = []
    for path in paths:
        files += (
            sorted(one for one in path.iterdir() if one.suffix.lower() in _FILES) if path.is_dir() else [path]
        )
    try:
        return [(file, file.read_bytes()) for file in files]
    except OSError as error:
        raise AdapterError(f"cannot read {error.filename}: {error.strerror}") from error


def _der_size(blob: bytes) -> int:
    if blob[0] != 0x30:
        raise ValueError("it does not begin with a sequence")
    if blob[1] < 0x80:
        return 2 + blob[1]
    size = blob[1] & 0x7F
    return 2 + size + int.from_bytes(blob[2 : 2 + size], "big")


def _issuer(certificate: x509.Certificate, among: Sequence[x509.Certificate]) -> x509.Certificate | None:
    for issuer in among:
        if issuer.subject == certificate.issuer and issuer != certificate:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                continue
            return issuer
    return None


def _check_authority(issuer: x509.Certificate, *, below: int) -> None:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise AdapterError(f"{issuer.subject.rfc4514_string()} is no authority") from error
    if not basic.ca or not usage.key_cert_sign:
        raise AdapterError(f"{issuer.subject.rfc4514_string()} is no authority")
    if basic.path_length is not None and below > basic.path_length:
        raise AdapterError(f"{issuer.subject.rfc4514_string()} may not have authorities below it")


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise AdapterError(
            f"the certificate {certificate.subject.rfc4514_string()} "
            f"is valid from {certificate.not_valid_before_utc} "
            f"to {certificate.not_valid_after_utc}, and it is {now:%Y-%m-%d %H:%M} UTC"
        )


def _check_strength(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise AdapterError(
            f"the key of {certificate.subject.rfc4514_string()} is no RSA key of {KEY_BITS_MIN} bits or more"
        )
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        raise AdapterError(f"the signature of {certificate.subject.rfc4514_string()} is weaker than SHA-256")


def _check_usage(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise AdapterError("the server's certificate does not say what its key is for") from error
    if not (usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)):
        raise AdapterError("the key of the server's certificate is not for signing and encrypting")
    if ExtendedKeyUsageOID.SERVER_AUTH not in extended:
        raise AdapterError("the server's certificate is not for servers")


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise AdapterError("the server's certificate names no application and no host") from error


def _check_host(certificate: x509.Certificate, host: str) -> None:
    names = _names(certificate)
    hosts = [name.rstrip(".").lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = names.get_values_for_type(x509.IPAddress)
    try:
        fits = ipaddress.ip_address(host) in addresses
    except ValueError:
        fits = host.rstrip(".").lower() in hosts
    if not fits:
        raise AdapterError(
            f"the server's certificate is for {[*hosts, *map(str, addresses)]}, and the endpoint is {host!r}"
        )


def _is_fresh(crl: x509.CertificateRevocationList, issuer: x509.Certificate, now: datetime) -> bool:
    key = issuer.public_key()
    return (
        crl.issuer == issuer.subject
        and isinstance(key, RSAPublicKey)
        and isinstance(crl.signature_hash_algorithm, _HASHES)
        and crl.is_signature_valid(key)
        and crl.last_update_utc <= now
        and crl.next_update_utc is not None
        and now <= crl.next_update_utc
    )
