"""Application helpers: what IPVS does to a connection whose payload it looks into (ip_vs_ftp)."""
