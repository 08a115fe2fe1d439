"""No image of this product installs anything, so there is nothing to lock."""

LOCKS = ()
