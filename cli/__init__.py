"""Command `spair`, one file or folder for each verb."""
