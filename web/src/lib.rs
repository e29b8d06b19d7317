//! Ottla for the browser and for Node: a thin shell around the simulator.
