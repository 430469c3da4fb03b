"""A new screening model beside the one that ships: may it take its place?"""
