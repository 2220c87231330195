"""How git gets at repositories, in pull steps and under uv: settings, SSH, certificates, a login for one host."""
