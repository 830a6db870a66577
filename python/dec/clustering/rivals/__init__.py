"""The paper's rivals, LDMGI and SEC, sparse: memory grows with the rows alone."""
