"""Several data sets, taken as something outside of the device changes, fitted as one model."""
