"""Design for isolation, insertion loss and contrast, at the worst of a band and of tolerances."""
