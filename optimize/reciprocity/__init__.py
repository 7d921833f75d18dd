"""A pair of oscillators driven from either side: reciprocity restored, its loci, and phase nonreciprocity."""
