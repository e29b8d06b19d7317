//! Small histories, told one by one.
