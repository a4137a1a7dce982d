"""The data plane beside nginx, HAProxy and a student's balancer."""
