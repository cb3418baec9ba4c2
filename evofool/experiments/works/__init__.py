"""Works that experiments share: nets, campaigns, answers to pictures, attacks."""
