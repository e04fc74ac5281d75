"""The vendors pollbridge speaks to. A new one is a module of its own and a line here."""

from pollbridge.vendors.answer import Vendor
from pollbridge.vendors.mentionlab import MENTIONLAB
from pollbridge.vendors.mintlify import MINTLIFY
from pollbridge.vendors.oration import ORATION
from pollbridge.vendors.scale import SCALE

VENDORS: dict[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        MENTIONLAB,
        ORATION,
        SCALE,
        MINTLIFY,
    )
}
