"""YAML configurations: model × data × trainer; see `mattingzoo fit --help`."""
