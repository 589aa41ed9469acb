"""Shipped weights, and the bundles that are made of them."""

from .models import ShippedModel, find_model, list_models
from .ready import has_bundle, make_ready, resolve_model

__all__ = ["ShippedModel", "find_model", "has_bundle", "list_models", "make_ready", "resolve_model"]
