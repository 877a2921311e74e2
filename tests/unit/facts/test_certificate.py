"""Identities asked for by certificate, and the digest that joins an issued certificate to its use."""

import base64
import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CSR = {"resource": "certificatesigningrequests", "apiGroup": "certificates.k8s.io", "name": "x"}


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def _name(common, *groups):
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


@pytest.fixture(scope="module")
def request_pem(key):
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("system:admin", "system:masters", "dev"))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def certificate(key):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("ann"))
        .issuer_name(_name("ca"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256())


def test_identity_asked_for(make, request_pem):
    body = {
        "spec": {
            "request": base64.b64encode(request_pem).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "expirationSeconds": 3600,
        }
    }
    facts = make(objectRef=CSR, requestObject=body)
    assert facts.value("csr.common_name") == "system:admin"
    assert facts.value("csr.organizations") == ["system:masters", "dev"]
    assert facts.value("csr.signer") == "kubernetes.io/kube-apiserver-client"
    assert facts.value("csr.usages") == ["client auth"]
    assert facts.value("csr.expiration_seconds") == 3600
    assert facts.value("csr.approved") is False


def test_approval_and_certificate(make, certificate, request_pem):
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    der = certificate.public_bytes(serialization.Encoding.DER)
    answer = {
        "kind": "CertificateSigningRequest",
        "spec": {"request": base64.b64encode(request_pem).decode(), "username": "mallory", "signerName": "s"},
    }
    approved = make(
        verb="update",
        objectRef=CSR | {"subresource": "approval"},
        requestObject={"status": {"conditions": [{"type": "Approved"}]}},
        responseObject=answer,
    )
    assert approved.value("csr.approved") is True
    assert approved.value("csr.denied") is False
    assert approved.value("csr.requester") == "mallory"
    assert approved.value("csr.common_name") == "system:admin"
    for encoded in (pem, pem + pem, der):
        issued = make(
            verb="update",
            objectRef=CSR | {"subresource": "status"},
            requestObject={"status": {"certificate": base64.b64encode(encoded).decode()}},
        )
        assert issued.value("csr.certificate_sha256") == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "encoded", ["", "%%%", "aGVsbG8=", base64.b64encode(b"-----BEGIN CERTIFICATE REQUEST-----").decode(), 7, None]
)
def test_unreadable_requests(make, encoded):
    facts = make(objectRef=CSR, requestObject={"spec": {"request": encoded}, "status": {"certificate": encoded}})
    assert facts.value("csr.common_name") is None
    assert facts.value("csr.organizations") is None
    assert facts.value("csr.certificate_sha256") is None
    assert facts.unknown == ()


def test_other_resources_have_none(make):
    assert make().value("csr.signer") is None
    assert make().value("csr.approved") is None
